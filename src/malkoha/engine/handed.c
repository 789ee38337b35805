/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Work that the sample hands to others: which files it wrote, which daemons it left a job to, whom it wrote into. A
 * process that does such work is adopted: from then on it is traced like a descendant, with a record that says why.
 */
#include <linux/cgroup.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/ptrace.h>
#include <linux/socket.h>
#include <linux/un.h>
#include <asm/syscall.h>

#define WRITTEN_BITS 13
#define WRITTEN_LIMIT (1U << WRITTEN_BITS)
#define WRITTEN_ORDER 6
#define WRITTEN_STEPS 64
#define UNITS_LIMIT 64
#define UNIT_NAME 96
#define ARGUMENTS_SEARCHED 8192

/* Why a process was adopted; trace/records.py has the same numbers. */
enum { CAUSE_EXEC = 1, CAUSE_SCRIPT = 2, CAUSE_LIBRARY = 3, CAUSE_PTRACE = 4, CAUSE_MEMORY = 5, CAUSE_CRON = 6,
       CAUSE_AT = 7, CAUSE_UDEV = 8, CAUSE_UNIT = 9 };

/* Ways by which work is left to somebody, as bits of ring->ways and ring->exercised. */
enum { WAY_CRON = 0, WAY_AT = 1, WAY_UDEV = 2, WAY_TIMER = 3, WAY_UNIT = 4, WAYS = 5 };

struct rec_adopt {
	struct rec_head head;	/* tid and pid: who was running when it was noticed */
	s32 tid;
	s32 pid;
	s32 ppid;
	u32 uid;
	u32 why;
	s32 by;			/* the process of the sample that is the cause */
	char comm[TASK_COMM_LEN];
};

/* A file that a traced task had open for writing; generations tell apart files that shared a number. */
struct written {
	u64 ino;
	u32 dev;
	u32 generation;
	s32 by;
	u32 reserved;
};

struct unit {
	s32 by;
	char name[UNIT_NAME];
};

struct place {
	const char *folder;
	u8 way;
};

static const struct place places[] = {
	{ "/etc/crontab", WAY_CRON },
	{ "/etc/cron.d/", WAY_CRON },
	{ "/var/spool/cron/crontabs/", WAY_CRON },
	{ "/var/spool/cron/atjobs/", WAY_AT },
	{ "/etc/udev/rules.d/", WAY_UDEV },
	{ "/run/udev/rules.d/", WAY_UDEV },
	{ "/usr/lib/udev/rules.d/", WAY_UDEV },
	{ "/etc/systemd/system/", WAY_UNIT },
	{ "/run/systemd/system/", WAY_UNIT },
	{ "/run/systemd/transient/", WAY_UNIT },
	{ "/usr/local/lib/systemd/system/", WAY_UNIT },
	{ "/usr/lib/systemd/system/", WAY_UNIT },
	{ "/lib/systemd/system/", WAY_UNIT },
};

#define TRANSIENT "/run/systemd/transient/"
#define EXECUTOR "systemd-executor"

static const struct { const char *comm; u8 way, why; } daemons[] = {
	{ "cron", WAY_CRON, CAUSE_CRON },
	{ "atd", WAY_AT, CAUSE_AT },
	{ "(udev-worker)", WAY_UDEV, CAUSE_UDEV },
};

/* What a call may hand over. */
enum { HANDS_FILE = 1, HANDS_MAPPING = 2, HANDS_PTRACE = 3, HANDS_MEMORY = 4, HANDS_NAME = 5, HANDS_NAME_AT = 6,
       HANDS_CONNECT = 7 };

static const u8 handing_64[] = {
	[2] = HANDS_FILE, [85] = HANDS_FILE, [257] = HANDS_FILE, [304] = HANDS_FILE, [319] = HANDS_FILE,
	[437] = HANDS_FILE,	/* open creat openat open_by_handle_at memfd_create openat2 */
	[9] = HANDS_MAPPING, [101] = HANDS_PTRACE, [311] = HANDS_MEMORY, [42] = HANDS_CONNECT,
	[82] = HANDS_NAME, [86] = HANDS_NAME,	/* rename link */
	[264] = HANDS_NAME_AT, [265] = HANDS_NAME_AT, [316] = HANDS_NAME_AT,	/* renameat linkat renameat2 */
};

static const u8 handing_32[] = {
	[5] = HANDS_FILE, [8] = HANDS_FILE, [295] = HANDS_FILE, [342] = HANDS_FILE, [356] = HANDS_FILE,
	[437] = HANDS_FILE,
	[192] = HANDS_MAPPING, [26] = HANDS_PTRACE, [348] = HANDS_MEMORY, [362] = HANDS_CONNECT,
	[38] = HANDS_NAME, [9] = HANDS_NAME,
	[302] = HANDS_NAME_AT, [303] = HANDS_NAME_AT, [353] = HANDS_NAME_AT,
};

static struct written *written;
static u32 written_count;
static struct unit units[UNITS_LIMIT];
static u32 units_count;
static s32 way_by[WAYS];
static s32 asker;		/* who of the sample last spoke to systemd or to the system's bus */
static unsigned long *uncounted_tids;	/* traced, but the run does not wait for them */
static s32 launcher_pid;
static DEFINE_SPINLOCK(handed_lock);

static bool handed_create(s32 target)
{
	launcher_pid = target;
	written = (struct written *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO, WRITTEN_ORDER);
	uncounted_tids = (unsigned long *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO, BITMAP_ORDER);
	return written && uncounted_tids;
}

/* The host switches this on, and leaves it off when only descendants are wanted. */
static bool is_following(void)
{
	return ring && READ_ONCE(ring->following);
}

/* Room for a path at the end of this CPU's scratch memory, where no record reaches. */
static char *spare(u32 size)
{
	struct scratch *s = this_cpu_ptr(&scratches);

	return s->data + s->capacity - size;
}

/* ---------------------------------------------------------------------------------------------- what is learned */

static struct written *written_find(struct inode *inode)
{
	u32 dev = inode->i_sb->s_dev, step, at = hash_64(inode->i_ino ^ (u64)dev << 40, WRITTEN_BITS);

	for (step = 0; step < WRITTEN_STEPS; step++, at = (at + 1) % WRITTEN_LIMIT) {
		u64 ino = smp_load_acquire(&written[at].ino);

		if (!ino)
			return NULL;
		if (ino == inode->i_ino && written[at].dev == dev && written[at].generation == inode->i_generation)
			return &written[at];
	}
	return NULL;
}

static void written_add(struct inode *inode)
{
	u32 dev = inode->i_sb->s_dev, step, at = hash_64(inode->i_ino ^ (u64)dev << 40, WRITTEN_BITS);

	if (!inode->i_ino || written_find(inode))
		return;
	spin_lock(&handed_lock);
	for (step = 0; step < WRITTEN_STEPS && written[at].ino; step++)
		at = (at + 1) % WRITTEN_LIMIT;
	if (step < WRITTEN_STEPS && written_count < WRITTEN_LIMIT / 2) {
		written[at].dev = dev;
		written[at].generation = inode->i_generation;
		written[at].by = current->tgid;
		smp_store_release(&written[at].ino, inode->i_ino);
		written_count++;
	} else {
		ring->unremembered++;
	}
	spin_unlock(&handed_lock);
}

static void left_to(u8 way)
{
	if (ring->ways & BIT(way))
		return;
	way_by[way] = current->tgid;
	__sync_fetch_and_or(&ring->ways, BIT(way));
}

static bool ends_with(const char *text, size_t length, const char *end)
{
	size_t size = strlen(end);

	return length >= size && !memcmp(text + length - size, end, size);
}

static void unit_add(const char *name, size_t length, const char *suffix)
{
	u32 i;

	spin_lock(&handed_lock);
	for (i = 0; i < units_count; i++)
		if (strlen(units[i].name) == length + strlen(suffix) && !memcmp(units[i].name, name, length) &&
		    !strcmp(units[i].name + length, suffix))
			break;
	if (i == UNITS_LIMIT || length + strlen(suffix) >= UNIT_NAME) {
		ring->unremembered++;
	} else if (i == units_count) {
		memcpy(units[i].name, name, length);
		strcpy(units[i].name + length, suffix);
		/* what the first process of all writes there is at somebody's request */
		units[i].by = current->tgid == 1 ? asker : current->tgid;
		smp_store_release(&units_count, units_count + 1);
	}
	spin_unlock(&handed_lock);
}

/* x.service, x.service.d/any.conf, any.target.wants/x.service; a timer starts the service of its name. */
static void learn_unit(const char *rest)
{
	const char *slash = strchr(rest, '/');
	size_t length = slash ? slash - rest : strlen(rest);
	static const char *const starters[] = { ".timer", ".path", ".socket" };
	u32 i;

	if (slash && (ends_with(rest, length, ".wants") || ends_with(rest, length, ".requires"))) {
		rest = slash + 1;
		length = strlen(rest);
	} else if (slash && ends_with(rest, length, ".d")) {
		length -= 2;
	}
	if (ends_with(rest, length, ".service")) {
		left_to(WAY_UNIT);
		unit_add(rest, length, "");
	}
	for (i = 0; i < ARRAY_SIZE(starters); i++) {
		if (!ends_with(rest, length, starters[i]))
			continue;
		left_to(i ? WAY_UNIT : WAY_TIMER);
		unit_add(rest, length - strlen(starters[i]), ".service");
	}
}

static void learn_place(const char *path)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		size_t size = strlen(places[i].folder);

		if (strncmp(path, places[i].folder, size))
			continue;
		if (places[i].way == WAY_UNIT)
			learn_unit(path + size);
		else
			left_to(places[i].way);
	}
}

/* The new name that a call gives to a file: what was moved into such a folder was not opened for writing there. */
static void learn_name(int folder, u64 pointer)
{
	char *path = spare(2 * PATH_LIMIT), *name = path + PATH_LIMIT, *start = name;
	struct file *file = NULL;
	long length;

	pagefault_disable();
	length = strncpy_from_user(name, (const char __user *)pointer, PATH_LIMIT);
	pagefault_enable();
	if (length <= 0 || length == PATH_LIMIT)
		return;
	if (*name != '/') {
		size_t used;

		if (folder != AT_FDCWD)
			file = fget_raw(folder);
		start = d_path(file ? &file->f_path : &current->fs->pwd, path, PATH_LIMIT);
		if (file)
			fput(file);
		if (IS_ERR(start))
			return;
		/* the folder to the front, a slash and the name behind it: both pages lie side by side */
		used = strlen(start);
		memmove(path, start, used);
		path[used] = '/';
		memmove(path + used + 1, name, length + 1);
		start = path;
	}
	learn_place(start);
}

/* ------------------------------------------------------------------------------------------------- who is adopted */

static bool is_traced_pid(s32 pid)
{
	return pid < TID_LIMIT && test_bit(pid, traced_tids);
}

static void adopt(struct task_struct *task, u32 why, s32 by, bool counted, struct path *path, const char *text)
{
	bool same = task->tgid == current->tgid || task->real_parent == current;
	struct task_struct *thread;
	struct rec_adopt *rec;
	struct file *exe;

	rcu_read_lock();
	for_each_thread(task, thread) {
		if (thread->pid >= TID_LIMIT || thread->flags & PF_EXITING ||
		    test_and_set_bit(thread->pid, traced_tids))
			continue;
		if (counted)
			__sync_fetch_and_add(&ring->live, 1);
		else
			set_bit(thread->pid, uncounted_tids);
	}
	rec = rec_begin(REC_ADOPT, 0, sizeof(*rec));
	rec->tid = task->pid;
	rec->pid = task->tgid;
	rec->ppid = rcu_dereference(task->real_parent)->tgid;
	rec->uid = from_kuid(&init_user_ns, task_uid(task));
	rec->why = why;
	rec->by = by;
	memcpy(rec->comm, task->comm, TASK_COMM_LEN);
	if (path)
		blob_path(0, path);
	else if (text)
		blob_copy(0, 0, text, strlen(text));
	task_lock(task);
	exe = task->mm ? rcu_dereference(task->mm->exe_file) : NULL;
	if (exe)
		blob_path(1, &exe->f_path);
	task_unlock(task);
	/* other memory than one's own cannot be read here */
	if (same && current->mm)
		blob_arguments(2, current->mm->arg_start, current->mm->arg_end);
	if (same && current->fs)
		blob_path(3, &current->fs->pwd);
	rec_end();
	rcu_read_unlock();
	__sync_fetch_and_add(&ring->adopted, 1);
}

/* A daemon that the sample has left a job to makes a process. */
static void fork_of_stranger(struct task_struct *parent, struct task_struct *child)
{
	u32 i;

	if (!is_following() || !ring->ways || child->pid >= TID_LIMIT || child->pid != child->tgid)
		return;
	for (i = 0; i < ARRAY_SIZE(daemons); i++) {
		u8 way = daemons[i].way;

		if (!(ring->ways & BIT(way)) || strcmp(parent->comm, daemons[i].comm))
			continue;
		__sync_fetch_and_or(&ring->exercised, BIT(way));
		adopt(child, daemons[i].why, way_by[way], true, NULL, daemons[i].comm);
		return;
	}
}

static struct unit *unit_of(struct task_struct *task, char *name)
{
	u32 i, count = smp_load_acquire(&units_count);
	const char *at;

	if (!count)
		return NULL;
	rcu_read_lock();
	strscpy(name, rcu_dereference(task->cgroups)->dfl_cgrp->kn->name, UNIT_NAME);
	rcu_read_unlock();
	at = strchr(name, '@');
	for (i = 0; i < count; i++) {
		const char *known = units[i].name, *open = strstr(known, "@.");

		if (!strcmp(known, name) || (at && open && at - name == open - known && !strncmp(known, name, at - name)))
			return &units[i];
	}
	return NULL;
}

static void exec_of_stranger(struct task_struct *task, struct linux_binprm *bprm)
{
	struct written *file;
	char name[UNIT_NAME];
	struct unit *unit;

	if (!is_following() || !bprm->file || task->tgid == launcher_pid)
		return;
	/* systemd's own program, which sets the unit's process up and then becomes the unit's program */
	if (!strcmp(bprm->file->f_path.dentry->d_name.name, EXECUTOR))
		return;
	unit = unit_of(task, name);
	file = written_find(file_inode(bprm->file));
	if (unit) {
		__sync_fetch_and_or(&ring->exercised, BIT(WAY_UNIT) | BIT(WAY_TIMER));
		adopt(task, CAUSE_UNIT, unit->by, true, NULL, name);
	} else if (file) {
		adopt(task, CAUSE_EXEC, file->by, true, &bprm->file->f_path, NULL);
	}
}

/* Whether the file's name stands as a word, or as the end of a path, among the arguments of this process. */
static bool is_argument(struct file *file)
{
	struct mm_struct *mm = current->mm;
	const char *name = file->f_path.dentry->d_name.name;
	u32 length = file->f_path.dentry->d_name.len, size, i;
	char *words = spare(ARGUMENTS_SEARCHED);

	if (!mm || !length)
		return false;
	size = min_t(u64, mm->arg_end - mm->arg_start, ARGUMENTS_SEARCHED);
	if (copy_from_user_nofault(words, (void __user *)mm->arg_start, size))
		return false;
	for (i = 0; i + length <= size; i++) {
		if (memcmp(words + i, name, length) || (i && words[i - 1] && !strchr("/ =\"'", words[i - 1])))
			continue;
		if (i + length == size || !words[i + length] || strchr(" ;&|\"'", words[i + length]))
			return true;
	}
	return false;
}

static u8 hands(long nr, bool compat)
{
	if (nr < 0)
		return 0;
	if (compat)
		return nr < ARRAY_SIZE(handing_32) ? handing_32[nr] : 0;
	nr &= ~__X32_SYSCALL_BIT;
	return nr < ARRAY_SIZE(handing_64) ? handing_64[nr] : 0;
}

/* A unit that lives until it ends has a file that systemd itself writes when it is asked to run a command. */
static void transient_unit(struct file *file)
{
	char *path;

	if (!(file->f_mode & FMODE_WRITE))
		return;
	path = d_path(&file->f_path, spare(PATH_LIMIT), PATH_LIMIT);
	if (!IS_ERR(path) && !strncmp(path, TRANSIENT, sizeof(TRANSIENT) - 1))
		learn_place(path);
}

/* A call of a task that is not traced has returned; true when the task is traced from now on. */
static bool return_of_stranger(struct pt_regs *regs, long ret)
{
	bool compat = syscall_get_arch(current) == AUDIT_ARCH_I386;
	unsigned long args[6];
	struct written *entry;
	struct file *file;
	u8 what;

	if (!is_following() || !ring->started || ret < 0 || current->tgid == launcher_pid)
		return false;
	what = hands(syscall_get_nr(current, regs), compat);
	if (what != HANDS_FILE && what != HANDS_MAPPING)
		return false;
	syscall_get_arguments(current, regs, args);
	if (what == HANDS_MAPPING && (!(args[2] & PROT_EXEC) || args[3] & MAP_ANONYMOUS))
		return false;
	file = fget(what == HANDS_FILE ? ret : args[4]);
	if (!file)
		return false;
	entry = S_ISREG(file_inode(file)->i_mode) ? written_find(file_inode(file)) : NULL;
	if (entry && what == HANDS_MAPPING)
		adopt(current->group_leader, CAUSE_LIBRARY, entry->by, false, &file->f_path, NULL);
	else if (entry && is_argument(file))
		adopt(current->group_leader, CAUSE_SCRIPT, entry->by, true, &file->f_path, NULL);
	else if (what == HANDS_FILE && current->tgid == 1)
		transient_unit(file);
	fput(file);
	return is_traced();
}

/* The sample has got at a process of somebody else: that process may do the sample's work from now on. */
static void reached_into(s32 nr, u32 why)
{
	struct task_struct *task;

	rcu_read_lock();
	task = pid_task(find_vpid(nr), PIDTYPE_PID);
	if (task && task->mm && task->tgid != launcher_pid && !is_traced_pid(task->pid))
		adopt(task->group_leader, why, current->tgid, false, NULL, NULL);
	rcu_read_unlock();
}

static void learn_file(struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode = file_inode(file);
	char *path;
	int pid;

	if (!(file->f_mode & FMODE_WRITE) || !S_ISREG(inode->i_mode))
		return;
	if (inode->i_sb->s_magic == PROC_SUPER_MAGIC) {
		if (!strcmp(dentry->d_name.name, "mem") && !kstrtoint(dentry->d_parent->d_name.name, 10, &pid))
			reached_into(pid, CAUSE_MEMORY);
		return;
	}
	written_add(inode);
	path = d_path(&file->f_path, spare(PATH_LIMIT), PATH_LIMIT);
	if (!IS_ERR(path))
		learn_place(path);
}

static void learn_asker(u64 pointer, u64 length)
{
	struct sockaddr_un address = { 0 };
	const char *path = address.sun_path;

	if (copy_from_user_nofault(&address, (void __user *)pointer, min_t(u64, (u32)length, sizeof(address) - 1)))
		return;
	if (address.sun_family == AF_UNIX &&
	    (!strncmp(path, "/run/systemd/", 13) || strstr(path, "/dbus/system_bus_socket")))
		asker = current->tgid;
}

/* A call of a traced task has returned: learn what it may have handed over. */
static void return_of_traced(long nr, bool compat, const unsigned long *args, long ret)
{
	u8 what = hands(nr, compat);
	struct file *file;

	if (likely(!what) || ret < 0 || !is_following())
		return;
	switch (what) {
	case HANDS_FILE:
		file = fget(ret);
		if (file) {
			learn_file(file);
			fput(file);
		}
		break;
	case HANDS_PTRACE:
		if (args[0] == PTRACE_ATTACH || args[0] == PTRACE_SEIZE)
			reached_into(args[1], CAUSE_PTRACE);
		break;
	case HANDS_MEMORY:
		if (ret)
			reached_into(args[0], CAUSE_MEMORY);
		break;
	case HANDS_NAME:
		learn_name(AT_FDCWD, args[1]);
		break;
	case HANDS_CONNECT:
		learn_asker(args[1], args[2]);
		break;
	case HANDS_NAME_AT:
		learn_name(args[2], args[3]);
		break;
	}
}
