/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who a task is: ids, capabilities and namespaces, as one blob of the record that is being made.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/ipc_namespace.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/time_namespace.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <net/net_namespace.h>

#define IDENTITY_ARGUMENT 7

struct identity {
	u32 uid, euid, suid, fsuid;
	u32 gid, egid, sgid, fsgid;
	u64 effective, permitted, inheritable, bounding, ambient;
	u32 user_ns, pid_ns, mnt_ns, net_ns, uts_ns, ipc_ns, cgroup_ns, time_ns;
};

static void blob_identity(u8 arg, struct task_struct *task)
{
	struct identity who = { 0 };
	const struct cred *cred;
	struct nsproxy *spaces;

	rcu_read_lock();
	cred = __task_cred(task);
	who.uid = from_kuid(&init_user_ns, cred->uid);
	who.euid = from_kuid(&init_user_ns, cred->euid);
	who.suid = from_kuid(&init_user_ns, cred->suid);
	who.fsuid = from_kuid(&init_user_ns, cred->fsuid);
	who.gid = from_kgid(&init_user_ns, cred->gid);
	who.egid = from_kgid(&init_user_ns, cred->egid);
	who.sgid = from_kgid(&init_user_ns, cred->sgid);
	who.fsgid = from_kgid(&init_user_ns, cred->fsgid);
	who.effective = cred->cap_effective.val;
	who.permitted = cred->cap_permitted.val;
	who.inheritable = cred->cap_inheritable.val;
	who.bounding = cred->cap_bset.val;
	who.ambient = cred->cap_ambient.val;
	who.user_ns = cred->user_ns->ns.inum;
	rcu_read_unlock();
	who.pid_ns = task_active_pid_ns(task)->ns.inum;
	/* Only the task itself changes its spaces, and it is the one that runs here or one that does not run yet. */
	spaces = task->nsproxy;
	if (spaces) {
		/* struct mnt_namespace is the kernel's own, and begins with what all namespaces have in common. */
		who.mnt_ns = ((struct ns_common *)spaces->mnt_ns)->inum;
		who.net_ns = spaces->net_ns->ns.inum;
		who.uts_ns = spaces->uts_ns->ns.inum;
		who.ipc_ns = spaces->ipc_ns->ns.inum;
		who.cgroup_ns = spaces->cgroup_ns->ns.inum;
		who.time_ns = spaces->time_ns->ns.inum;
	}
	blob_copy(arg, 0, &who, sizeof(who));
}

/* A child made with CLONE_NEW... is somewhere else than its creator. */
static bool lives_elsewhere(struct task_struct *parent, struct task_struct *child)
{
	return parent->nsproxy != child->nsproxy || task_active_pid_ns(parent) != task_active_pid_ns(child) ||
	       __task_cred(parent)->user_ns != __task_cred(child)->user_ns;
}
