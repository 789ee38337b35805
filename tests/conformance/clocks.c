/* Time: clocks, timers, sleeps. */
#include "conform.h"
#include <sys/time.h>
#include <sys/timex.h>

void clocks(void)
{
	struct timespec now, short_while = { 0, 1000 }, wrong = { 0, -5 };
	struct itimerval interval = { { 0, 0 }, { 1000, 5 } }, old;
	struct itimerspec spec = { { 1, 2 }, { 300, 4 } }, spec_old;
	struct timeval tv;
	struct timezone zone;
	struct timex change = { 0 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_ptr = (void *)0x77 };
	int timer = 0;
	time_t seconds;

	CALL(SYS_clock_gettime, CLOCK_REALTIME, &now);
	CALL(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
	CALL(SYS_clock_gettime, 99, &now);
	CALL(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, &now);
	CALL(SYS_clock_settime, CLOCK_MONOTONIC, &now);
	CALL(SYS_clock_settime, CLOCK_REALTIME, &wrong);
	CALL(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &short_while, NULL);
	CALL(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &short_while, NULL);
	CALL(SYS_clock_nanosleep, 77, 0, &short_while, &now);
	CALL(SYS_nanosleep, &short_while, &now);
	CALL(SYS_nanosleep, &wrong, NULL);
	CALL(SYS_nanosleep, BAD, NULL);
	CALL(SYS_gettimeofday, &tv, &zone);
	CALL(SYS_gettimeofday, BAD, NULL);
	tv.tv_usec = 10000000;
	CALL(SYS_settimeofday, &tv, NULL);
	CALL(SYS_time, &seconds);
	CALL(SYS_time, NULL);
	CALL(SYS_setitimer, ITIMER_REAL, &interval, &old);
	CALL(SYS_getitimer, ITIMER_REAL, &old);
	CALL(SYS_getitimer, 9, &old);
	interval.it_value.tv_sec = interval.it_value.tv_usec = 0;
	CALL(SYS_setitimer, ITIMER_REAL, &interval, NULL);
	CALL(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer);
	CALL(SYS_timer_create, 77, NULL, &timer);
	CALL(SYS_timer_settime, timer, 0, &spec, &spec_old);
	CALL(SYS_timer_settime, 999, TIMER_ABSTIME, &spec, NULL);
	CALL(SYS_timer_gettime, timer, &spec);
	CALL(SYS_timer_gettime, 999, &spec);
	CALL(SYS_timer_getoverrun, timer);
	CALL(SYS_timer_delete, timer);
	CALL(SYS_timer_delete, timer);
	CALL(SYS_adjtimex, &change);
	CALL(SYS_clock_adjtime, CLOCK_REALTIME, &change);
	change.modes = ADJ_TICK | ADJ_FREQUENCY;
	CALL(SYS_clock_adjtime, 77, &change);
	CALL(SYS_adjtimex, BAD);
}
