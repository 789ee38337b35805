/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Make the guest look as if it had run for weeks, once, before it is saved: its monotonic clocks and the clock that
 * counts from its boot are set ahead, the wall clock is not. What was started before seems to have been started then.
 */
#include <linux/delay.h>
#include <linux/panic.h>
#include <linux/tick.h>
#include <linux/timekeeper_internal.h>

#define AGE_LIMIT (10ULL * 365 * 24 * 3600)
#define PUBLISHED_MS 200	/* some ticks */
#define IDLE_WORDS 48		/* in which the idle time of a processor is looked for */
#define IDLE_SHARE 29		/* the part of the time in which it was busy */

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

/*
 * A machine that ran for weeks was idle for most of them, which /proc/uptime and /proc/stat tell. A processor that slept
 * while the clocks were set takes the whole time for idle by itself. Of the others the count is found by its value,
 * since its structure is the kernel's own.
 */
static void stay_idle(s64 seconds)
{
	void __percpu *ticks = (void __percpu *)kallsyms_lookup_name("tick_cpu_sched");
	u64 known, *words;
	u32 cpu, i, place = IDLE_WORDS;

	if (!ticks)
		return;
	preempt_disable();
	words = this_cpu_ptr(ticks);
	known = get_cpu_idle_time_us(smp_processor_id(), NULL);
	for (i = 0; known && i < IDLE_WORDS && place == IDLE_WORDS; i++)
		if (words[i] / NSEC_PER_USEC == known)
			place = i;
	for_each_online_cpu(cpu)
		if (place < IDLE_WORDS && get_cpu_idle_time_us(cpu, NULL) / USEC_PER_SEC < seconds / 2)
			((u64 *)per_cpu_ptr(ticks, cpu))[place] += (seconds - seconds / IDLE_SHARE) * NSEC_PER_SEC;
	preempt_enable();
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
	if (set_ahead(seconds)) {
		keep_young(seconds);
		msleep(PUBLISHED_MS);
		stay_idle(seconds);
	}
	clear_taint();
	dress_firmware();
	WRITE_ONCE(ring->age, 0);
}

static DECLARE_WORK(aging, grow_old);
