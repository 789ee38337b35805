/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which tasks belong to the sample, and what became of them: fork, exec, exit and signals, for both engines.
 */
#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/path.h>
#include <linux/pid.h>

#define PATH_LIMIT 4096
#define ARGUMENTS_LIMIT 65536

struct rec_clock {
	struct rec_head head;
	u64 real_ns;
};

struct rec_fork {
	struct rec_head head;
	s32 child_tid;
	s32 child_pid;
	s32 ppid;		/* of the child: differs from the creator's pid with CLONE_PARENT */
	u32 uid;
	char comm[TASK_COMM_LEN];
};

struct rec_exec {
	struct rec_head head;
	s32 old_tid;		/* a thread that execs takes its leader's id */
	s32 ppid;
	u32 uid;
	u32 euid;
	u32 gid;
	u32 egid;
	char comm[TASK_COMM_LEN];
};

struct rec_taskexit {
	struct rec_head head;
	s32 code;		/* as wait(2) shows it */
	s32 group_dead;		/* the last task of its process */
	char comm[TASK_COMM_LEN];
};

struct rec_signal {
	struct rec_head head;
	s32 signal;
	s32 code;
	s32 sender;
	s32 handled;		/* 0: default action, 1: handler */
};

/* The call that a task is in, by thread id; only the tracepoint engine has these. */
static unsigned long *inside_call;	/* its entry was recorded, its return not yet */
static unsigned long *unread_memory;	/* something could not be read at entry, try again at return */

static void forget_call(int tid)
{
	if (inside_call) {
		clear_bit(tid, inside_call);
		clear_bit(tid, unread_memory);
	}
}

static void rec_clock(void)
{
	struct rec_clock *rec = rec_begin(REC_CLOCK, 0, sizeof(*rec));

	rec->real_ns = ktime_get_real_fast_ns();
	files_start(rec->real_ns - ktime_get_mono_fast_ns());
	rec_end();
}

/* handed.c */
static unsigned long *uncounted_tids;
static void fork_of_stranger(struct task_struct *parent, struct task_struct *child);
static void exec_of_stranger(struct task_struct *task, struct linux_binprm *bprm);

static void follow_fork(struct task_struct *parent, struct task_struct *child, int target)
{
	struct rec_fork *rec;

	if (!is_traced() && parent->tgid != target) {
		fork_of_stranger(parent, child);
		return;
	}
	if (child->pid >= TID_LIMIT)
		return;
	if (!ring->started) {
		ring->started = 1;
		rec_clock();
	}
	set_bit(child->pid, traced_tids);
	/* threads of a process that the run does not wait for are not waited for either */
	if (child->tgid == parent->tgid && test_bit(parent->pid, uncounted_tids))
		set_bit(child->pid, uncounted_tids);
	else
		__sync_fetch_and_add(&ring->live, 1);
	rec = rec_begin(REC_FORK, 0, sizeof(*rec));
	rec->child_tid = child->pid;
	rec->child_pid = child->tgid;
	rec->ppid = rcu_dereference(child->real_parent)->tgid;
	rec->uid = from_kuid(&init_user_ns, task_uid(child));
	memcpy(rec->comm, child->comm, TASK_COMM_LEN);
	if (lives_elsewhere(parent, child))
		blob_identity(IDENTITY_ARGUMENT, child);
	rec_end();
}

static void blob_path(u8 arg, struct path *path)
{
	struct blob_head *blob = blob_begin(arg, 0, PATH_LIMIT);
	char *name;

	if (!blob)
		return;
	name = d_path(path, blob_data(blob), PATH_LIMIT);
	if (IS_ERR(name)) {
		blob_end(blob, 0, 0, 2);
		return;
	}
	memmove(blob_data(blob), name, strlen(name) + 1);
	blob_end(blob, strlen(blob_data(blob)), strlen(blob_data(blob)), 0);
}

/* What the new image finds on its stack: true whatever another thread did to the caller's memory meanwhile. */
static void blob_arguments(u8 arg, unsigned long start, unsigned long end)
{
	u64 total = end > start ? end - start : 0;
	u32 size = min_t(u64, total, ARGUMENTS_LIMIT);
	struct blob_head *blob = blob_begin(arg, 0, size);

	if (!blob)
		return;
	if (copy_from_user_nofault(blob_data(blob), (void __user *)start, size))
		blob_end(blob, 0, total, 2);
	else
		blob_end(blob, size, total, size < total);
}

static void follow_exec(struct task_struct *task, int old_tid, struct linux_binprm *bprm)
{
	struct mm_struct *mm = task->mm;
	struct rec_exec *rec;
	struct file *exe;

	if (old_tid != task->pid && old_tid < TID_LIMIT && test_and_clear_bit(old_tid, traced_tids)) {
		forget_call(old_tid);
		set_bit(task->pid, traced_tids);
		if (test_and_clear_bit(old_tid, uncounted_tids))
			set_bit(task->pid, uncounted_tids);
		if (inside_call)
			set_bit(task->pid, inside_call);
	}
	if (!is_traced())
		exec_of_stranger(task, bprm);
	if (!is_traced() || !mm)
		return;
	/* At return the memory that the pointers meant is no longer there. */
	if (unread_memory)
		clear_bit(task->pid, unread_memory);
	rec = rec_begin(REC_EXEC, 0, sizeof(*rec));
	rec->old_tid = old_tid;
	rec->ppid = rcu_dereference(task->real_parent)->tgid;
	rec->uid = from_kuid(&init_user_ns, current_uid());
	rec->euid = from_kuid(&init_user_ns, current_euid());
	rec->gid = from_kgid(&init_user_ns, current_gid());
	rec->egid = from_kgid(&init_user_ns, current_egid());
	memcpy(rec->comm, task->comm, TASK_COMM_LEN);
	blob_copy(0, 0, bprm->filename, strnlen(bprm->filename, PATH_LIMIT - 1));
	rcu_read_lock();
	exe = rcu_dereference(mm->exe_file);
	if (exe)
		blob_path(1, &exe->f_path);
	rcu_read_unlock();
	blob_arguments(2, mm->arg_start, mm->arg_end);
	if (task->fs)
		blob_path(3, &task->fs->pwd);
	blob_arguments(4, mm->env_start, mm->env_end);
	blob_identity(IDENTITY_ARGUMENT, task);
	rec_end();
	rcu_read_lock();
	exe = rcu_dereference(mm->exe_file);
	if (exe)
		files_executed(exe);
	rcu_read_unlock();
}

static void follow_exit(struct task_struct *task)
{
	struct rec_taskexit *rec;

	if (!is_traced()) {
		hide_behind(task);
		return;
	}
	rec = rec_begin(REC_TASKEXIT, 0, sizeof(*rec));
	rec->code = task->exit_code;
	rec->group_dead = atomic_read(&task->signal->live) == 0;
	memcpy(rec->comm, task->comm, TASK_COMM_LEN);
	rec_end();
	if (atomic_read(&task->signal->live) == 0)
		files_process_exit();
	clear_bit(task->pid, traced_tids);
	/* The call in which it ended does not return, and the id will be another task's. */
	forget_call(task->pid);
	if (!test_and_clear_bit(task->pid, uncounted_tids))
		__sync_fetch_and_sub(&ring->live, 1);
}

static void follow_signal(int signal, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct rec_signal *rec;

	if (!is_traced())
		return;
	rec = rec_begin(REC_SIGNAL, 0, sizeof(*rec));
	rec->signal = signal;
	if ((unsigned long)info > 2) {
		rec->code = info->si_code;
		rec->sender = info->si_code <= 0 ? info->si_pid : 0;
	}
	rec->handled = action->sa.sa_handler != SIG_DFL;
	rec_end();
}
