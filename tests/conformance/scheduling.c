/* The scheduler, futexes and priorities. */
#include "conform.h"

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t low, high;
};

void scheduling(void)
{
	struct attributes attr = { .size = sizeof(attr), .policy = 3, .nice = 5 };
	struct timespec soon = { 0, 1000 }, late = { 1, 0 };
	struct { uint64_t val, at; uint32_t flags, reserved; } waiters[2] = { { 5, 0, 2, 0 }, { 6, 0, 2, 0 } };
	unsigned long set = 1;
	int parameter = 0, word = 3, other = 4;

	CALL(SYS_sched_yield);
	CALL(SYS_sched_setparam, 0, &parameter);
	CALL(SYS_sched_getparam, 0, &parameter);
	CALL(SYS_sched_getparam, 999999, &parameter);
	parameter = 5;
	CALL(SYS_sched_setscheduler, 0, SCHED_FIFO, &parameter);
	parameter = 0;
	CALL(SYS_sched_setscheduler, 0, SCHED_OTHER, &parameter);
	CALL(SYS_sched_setscheduler, 0, 77, &parameter);
	CALL(SYS_sched_getscheduler, 0);
	CALL(SYS_sched_get_priority_max, SCHED_RR);
	CALL(SYS_sched_get_priority_min, 77);
	CALL(SYS_sched_rr_get_interval, 0, &soon);
	CALL(SYS_sched_setaffinity, 0, 8, &set);
	CALL(SYS_sched_getaffinity, 0, 128, buffer);
	CALL(SYS_sched_getaffinity, 0, 1, buffer);
	CALL(SYS_sched_setattr, 0, &attr, 0);
	CALL(SYS_sched_getattr, 0, &attr, sizeof(attr), 0);
	CALL(SYS_sched_getattr, 0, &attr, 1, 0);
	CALL(SYS_getpriority, 0, 0);
	CALL(SYS_setpriority, 0, 0, 7);
	CALL(SYS_setpriority, 9, 0, 7);
	CALL(SYS_ioprio_get, 1, 0);
	CALL(SYS_ioprio_set, 1, 0, 2 << 13 | 4);
	CALL(SYS_ioprio_set, 9, 0, 0);
	soon = (struct timespec){ 0, 1000 };
	CALL(SYS_futex, &word, 0, 9, &soon);
	CALL(SYS_futex, &word, 0 | 128, 3, &soon);
	CALL(SYS_futex, &word, 1 | 128, 5);
	CALL(SYS_futex, &word, 3, 1, 2, &other);
	CALL(SYS_futex, &word, 4, 1, 2, &other, 77);
	CALL(SYS_futex, &word, 9 | 256, 3, &late, NULL, ~0u);
	CALL(SYS_futex, &word, 10, 3, NULL, NULL, 0);
	CALL(SYS_futex, BAD, 1, 1);
	CALL(SYS_futex, &word, 77, 1);
	waiters[0].at = (uint64_t)&word;
	CALL(SYS_futex_waitv, waiters, 1, 0, &late, CLOCK_MONOTONIC);
	CALL(SYS_futex_waitv, BAD, 2, 0, NULL, 0);
	CALL(454 /* futex_wake */, &word, 1, 1, 2);
	CALL(455 /* futex_wait */, &word, 77, 1, 2, &late, CLOCK_MONOTONIC);
	CALL(456 /* futex_requeue */, BAD, 0, 1, 1);
	CALL(SYS_sched_setaffinity, 999999, 8, &set);
}
