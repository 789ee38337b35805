/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tracer's pulse: once a second it tells the host, in the ring's header, that it still works and from which
 * tracepoints its functions have been taken away. The host knows from it when a sample has blinded the tracer.
 */
#include <linux/hrtimer.h>
#include <linux/jump_label.h>
#include <linux/tracepoint.h>

#define PULSE_NS NSEC_PER_SEC

/* The bits of ring->unhooked; trace/ring.py has the same names in the same order. */
static const char *const hook_names[] = { "sys_enter", "sys_exit", "sched_process_fork", "sched_process_exec",
					  "sched_process_exit", "signal_deliver" };
static struct tracepoint *hooks[ARRAY_SIZE(hook_names)];
static struct hrtimer pulse;
static u64 beats, hooked;

static void find_hook(struct tracepoint *tracepoint, void *unused)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(hook_names); i++)
		if (!strcmp(tracepoint->name, hook_names[i]))
			hooks[i] = tracepoint;
}

static bool calls_us(struct tracepoint *tracepoint)
{
	struct tracepoint_func *one = rcu_dereference_raw(tracepoint->funcs);

	if (!static_key_enabled(&tracepoint->key))
		return false;
	for (; one && one->func; one++)
		if (within_module((unsigned long)one->func, THIS_MODULE))
			return true;
	return false;
}

/* In hard interrupt context, which no flood of tasks delays. What once called us and does no longer is noted for good. */
static enum hrtimer_restart beat(struct hrtimer *timer)
{
	u64 now = 0;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(hook_names); i++)
		if (hooks[i] && calls_us(hooks[i]))
			now |= 1ULL << i;
	hooked |= now;
	WRITE_ONCE(ring->unhooked, READ_ONCE(ring->unhooked) | (hooked & ~now));
	WRITE_ONCE(ring->pulse, ++beats);
	if (READ_ONCE(ring->age))
		schedule_work(&aging);
	hrtimer_forward_now(timer, ns_to_ktime(PULSE_NS));
	return HRTIMER_RESTART;
}

static void pulse_begin(void)
{
	for_each_kernel_tracepoint(find_hook, NULL);
	hrtimer_init(&pulse, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	pulse.function = beat;
	hrtimer_start(&pulse, ns_to_ktime(PULSE_NS), HRTIMER_MODE_REL_HARD);
}
