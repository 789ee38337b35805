/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Make the guest look as if it had run for weeks, once, before it is saved: its monotonic clocks and the clock that
 * counts from its boot are set ahead, the wall clock is not. What was started before seems to have been started then.
 */
#include <linux/panic.h>
#include <linux/timekeeper_internal.h>

#define AGE_LIMIT (10ULL * 365 * 24 * 3600)

/*
 * The kernel's own way to set the clock (timekeeping.c) is to change this structure under its lock; the next tick
 * publishes it to all that read a clock: the fast ones, the vDSO and the timers.
 */
static bool set_ahead(s64 seconds)
{
	struct timekeeper *next = (struct timekeeper *)kallsyms_lookup_name("shadow_timekeeper");
	raw_spinlock_t *lock = (raw_spinlock_t *)kallsyms_lookup_name("timekeeper_lock");
	ktime_t by = ktime_set(seconds, 0);
	unsigned long flags;

	if (!next || !lock)
		return false;
	raw_spin_lock_irqsave(lock, flags);
	next->wall_to_monotonic.tv_sec += seconds;
	next->offs_real = ktime_sub(next->offs_real, by);
	next->offs_tai = ktime_sub(next->offs_tai, by);
	next->raw_sec += seconds;
	next->clock_was_set_seq++;	/* so that the timers look at the offsets again */
	raw_spin_unlock_irqrestore(lock, flags);
	return true;
}

/* The session in which the sample runs is a new one. */
static void keep_young(s64 seconds)
{
	struct task_struct *task;

	rcu_read_lock();
	task = pid_task(find_pid_ns(launcher_pid, &init_pid_ns), PIDTYPE_PID);
	if (task) {
		task->start_time += seconds * NSEC_PER_SEC;
		task->start_boottime += seconds * NSEC_PER_SEC;
	}
	rcu_read_unlock();
}

/* That a module without a signature was loaded, and by force, would be told to everybody in /proc/sys/kernel/tainted. */
static void clear_taint(void)
{
	unsigned long *mask = (unsigned long *)kallsyms_lookup_name("tainted_mask");

	if (!mask)
		return;
	clear_bit(TAINT_FORCED_MODULE, mask);
	clear_bit(TAINT_OOT_MODULE, mask);
	clear_bit(TAINT_UNSIGNED_MODULE, mask);
}

static void grow_old(struct work_struct *unused)
{
	s64 seconds = min(READ_ONCE(ring->age), AGE_LIMIT);

	if (!seconds)
		return;
	if (set_ahead(seconds))
		keep_young(seconds);
	clear_taint();
	dress_firmware();
	WRITE_ONCE(ring->age, 0);
}

static DECLARE_WORK(aging, grow_old);
