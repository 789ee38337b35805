/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The content of files that traced tasks write, taken in the moment in which it is complete: before the call that
 * closes the last descriptor, when the file is executed, when its writer ends, before the machine goes down. It is
 * copied from the page cache into a ring of its own, in the context of the task itself, so that the sample goes on only
 * when the content is out of its reach. What cannot be had without sleeping is left to a work item.
 * Layout: docs/ARCHITECTURE.md, "Files"; the reader is trace/files.py.
 */
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/sched/task.h>
#include <linux/workqueue.h>
#include <asm/syscall.h>

#define FILES_CHUNKS 2
#define TRACKED_ORDER 9
#define TRACKED_SLOTS 4096
#define TRACKED_MOST 3584	/* an open hash wants some empty slots */
#define FILE_WRITERS 8
#define FILE_EAGER 4		/* versions of one file that are taken whenever it is complete */
#define FILE_PIECE (128 << 10)
#define FILE_PATH 4096
#define FILE_BUFFER_ORDER 6
#define FILES_IDLE_NS (2ULL * NSEC_PER_SEC)
#define FILES_TASKS 256

/* What a call means for files; the lower half is the argument that holds the descriptor. */
enum { FILE_NONE = 0, FILE_WRITE = 0x10, FILE_OPEN = 0x20, FILE_MAP = 0x30, FILE_CLOSE = 0x40, FILE_REBOOT = 0x50 };
enum { REC_FILE = 1, REC_FILE_DATA = 2, REC_FILE_END = 3 };
enum { WHY_CLOSED = 1, WHY_EXECUTED = 2, WHY_EXIT = 3, WHY_IDLE = 4, WHY_END = 5 };
enum { HELD = 1, WATCHED = 2, DIRTY = 4, MAPPED = 8, GAPS = 16, RELEASE = 32 };

/* Behind the header of the ring, in the same page. */
struct files_control {
	u64 limit_size;		/* bytes of one file; this and the next three are the host's */
	u64 limit_count;	/* versions of files */
	u64 limit_total;	/* bytes in all */
	u64 wanted;		/* number of the host's last request for all that is not taken yet */
	u64 answered;		/* number of the last request that was fulfilled */
	u64 held;		/* files that may have changed since they were taken */
	u64 count;		/* versions taken */
	u64 total;		/* bytes taken */
	u64 refused;		/* versions not taken because of limit_count or limit_total */
	u64 untracked;		/* writes to files for which there was no room in the table */
	u64 tasks;		/* traced processes at the time of the answer, the first of them listed */
	u32 task[FILES_TASKS];
};

struct file_writer {
	u64 first_ns;		/* of its first write, 0: it has only opened the file */
	u64 last_ns;
	s32 pid;
	u32 reserved;
};

struct rec_file {
	struct rec_head head;
	u64 id;
	u64 device;
	u64 inode;
	u64 generation;
	u64 size;
	u64 clock_ns;		/* what makes calendar time of the times here */
	u32 version;
	u32 why;
	u32 mode;
	u32 uid;
	u32 links;
	u32 repeated;		/* the same version once more, with what was missing */
	u32 path_size;
	u32 writers;		/* how many there were; the first FILE_WRITERS are listed */
	struct file_writer writer[FILE_WRITERS];
	char path[];
};

struct rec_file_data {
	struct rec_head head;
	u64 id;
	u64 offset;
	u64 size;
	char data[];
};

struct rec_file_end {
	struct rec_head head;
	u64 id;
	u64 stored;
	u64 missing;		/* bytes that were not in memory, though there may be some elsewhere */
	u64 limit;
};

struct tracked {
	struct list_head list;	/* of those that are held */
	struct path path;	/* while HELD */
	u64 device;
	u64 inode;
	u64 generation;
	struct timespec64 ctime;	/* when it was last complete */
	u64 size;
	u64 taken_size;
	u64 touched_ns;
	u32 version;
	u32 writers;
	u16 flags;
	u16 busy;		/* being copied: must stay held */
	struct file_writer writer[FILE_WRITERS];
};

static struct files_control *files_control;
static struct tracked *tracked_table;
static u64 clock_offset;
static u32 tracked_used;
static char *files_buffer;
static LIST_HEAD(files_held);
static DEFINE_SPINLOCK(files_lock);

static void files_work_run(struct work_struct *work);
static DECLARE_DELAYED_WORK(files_work, files_work_run);

static bool files_create(void)
{
	tracked_table = (struct tracked *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO, TRACKED_ORDER);
	files_buffer = (char *)__get_free_pages(GFP_ATOMIC, FILE_BUFFER_ORDER);
	BUILD_BUG_ON(TRACKED_SLOTS * sizeof(struct tracked) > PAGE_SIZE << TRACKED_ORDER);
	BUILD_BUG_ON(FILE_PIECE + sizeof(struct rec_file_data) > PAGE_SIZE << FILE_BUFFER_ORDER);
	BUILD_BUG_ON(FILES_AT + sizeof(struct files_control) > PAGE_SIZE);
	if (!tracked_table || !files_buffer || !stream_create(&files_ring, FILES_CHUNKS))
		return false;
	files_control = (struct files_control *)((char *)files_ring.header + FILES_AT);
	files_control->limit_size = 10 << 20;
	files_control->limit_count = 1000;
	files_control->limit_total = 200 << 20;
	stream_begin(&files_ring);
	return true;
}

/* With the first traced task; `offset` makes calendar time of the monotonic one. */
static void files_start(u64 offset)
{
	clock_offset = offset;
	schedule_delayed_work(&files_work, HZ / 20);
}

/* Files with content of their own: on a disk or in memory. What procfs and its like show is made when it is read. */
static bool file_kept(struct file *file)
{
	struct inode *inode = file_inode(file);
	unsigned long magic = inode->i_sb->s_magic;

	if (!S_ISREG(inode->i_mode) || !(file->f_mode & FMODE_WRITE))
		return false;
	return inode->i_sb->s_bdev || magic == TMPFS_MAGIC || magic == RAMFS_MAGIC || magic == OVERLAYFS_SUPER_MAGIC ||
	       magic == FUSE_SUPER_MAGIC;
}

/* With files_lock. A file is known by numbers, since its inode may be gone and its memory be another's. */
static struct tracked *tracked_find(struct inode *inode, bool make)
{
	u64 device = inode->i_sb->s_dev, generation = inode->i_generation;
	u32 slot = (inode->i_ino * 0x9E3779B97F4A7C15ULL ^ device * 31 ^ generation) % TRACKED_SLOTS;
	struct tracked *t;

	for (;; slot = (slot + 1) % TRACKED_SLOTS) {
		t = &tracked_table[slot];
		if (!t->device)
			break;
		if (t->inode == inode->i_ino && t->device == device && t->generation == generation)
			return t;
	}
	if (!make)
		return NULL;
	if (tracked_used >= TRACKED_MOST) {
		files_control->untracked++;
		return NULL;
	}
	tracked_used++;
	t->device = device;
	t->inode = inode->i_ino;
	t->generation = generation;
	return t;
}

static void tracked_writer(struct tracked *t, bool wrote)
{
	u64 now = ktime_get_mono_fast_ns();
	u32 i;

	for (i = 0; i < min_t(u32, t->writers, FILE_WRITERS); i++)
		if (t->writer[i].pid == current->tgid)
			break;
	if (i >= FILE_WRITERS || i == t->writers)
		t->writers++;
	if (i < FILE_WRITERS) {
		t->writer[i].pid = current->tgid;
		if (wrote) {
			t->writer[i].first_ns = t->writer[i].first_ns ?: now;
			t->writer[i].last_ns = now;
		}
	}
	if (wrote)
		t->touched_ns = now;
}

static void file_touch(struct file *file, u16 flag)
{
	struct inode *inode = file_inode(file);
	struct tracked *t;

	spin_lock(&files_lock);
	t = tracked_find(inode, true);
	if (t) {
		if (!(t->flags & HELD)) {
			t->path = file->f_path;
			path_get(&t->path);
			t->flags |= HELD;
			t->ctime = inode_get_ctime(inode);
			t->size = i_size_read(inode);
			list_add_tail(&t->list, &files_held);
			files_control->held++;
		}
		t->flags = (t->flags & ~RELEASE) | flag;
		tracked_writer(t, flag != WATCHED);
	}
	spin_unlock(&files_lock);
}

/* With files_lock: a change without a write call (io_uring, a mapping) shows in the times, or not at all. */
static bool tracked_changed(struct tracked *t)
{
	struct inode *inode = d_inode(t->path.dentry);
	struct timespec64 ctime = inode_get_ctime(inode);

	return t->flags & (DIRTY | MAPPED) || i_size_read(inode) != t->size || !timespec64_equal(&ctime, &t->ctime);
}

static bool file_page(struct inode *inode, u64 offset, char *to, u32 size, struct file *reader)
{
	struct folio *folio = filemap_get_folio(inode->i_mapping, offset >> PAGE_SHIFT);
	loff_t position = offset;

	if (!IS_ERR(folio)) {
		bool there = folio_test_uptodate(folio);

		if (there) {
			char *from = kmap_local_page(folio_file_page(folio, offset >> PAGE_SHIFT));

			memcpy(to, from, size);
			kunmap_local(from);
		}
		folio_put(folio);
		if (there)
			return true;
	}
	return reader && kernel_read(reader, to, size, &position) == size;
}

static void file_put_data(struct rec_file_data *rec, u32 size)
{
	u32 padded = (size + 7) & ~7U;

	memset(rec->data + size, 0, padded - size);
	rec->head.type = REC_FILE_DATA;
	rec->head.size = sizeof(*rec) + padded;
	rec->size = size;
	stream_put(&files_ring, &rec->head);
}

/* Copy what is there, piece by piece; runs of pages that are not in memory are left out. */
static void file_copy(struct inode *inode, u64 id, u64 limit, char *buffer, struct file *reader, struct rec_file_end *end)
{
	u64 size = min_t(u64, i_size_read(inode), limit), offset, start = 0;
	struct rec_file_data *rec = (struct rec_file_data *)buffer;
	u32 used = 0;

	memset(rec, 0, sizeof(*rec));
	memset(end, 0, sizeof(*end));
	for (offset = 0; offset < size; offset += PAGE_SIZE) {
		u32 step = min_t(u64, size - offset, PAGE_SIZE);
		bool there;

		if (!used)
			start = offset;
		there = file_page(inode, offset, rec->data + used, step, reader);
		if (there) {
			used += step;
			end->stored += step;
		} else if (inode->i_sb->s_magic != TMPFS_MAGIC) {
			/* In memory alone there are no pages elsewhere: what is not there is a hole. */
			end->missing += step;
		}
		if (used && (!there || used == FILE_PIECE || offset + step == size)) {
			rec->id = id;
			rec->offset = start;
			file_put_data(rec, used);
			used = 0;
		}
	}
	end->id = id;
	end->limit = limit;
	end->head.type = REC_FILE_END;
	end->head.flags = 0;
	end->head.size = sizeof(*end);
	stream_put(&files_ring, &end->head);
}

/* A file may have been made without a name (O_TMPFILE), or lose the one by which it was opened, and have another. */
static char *file_name(struct tracked *t, char *buffer)
{
	struct inode *inode = d_inode(t->path.dentry);
	struct path path = t->path;
	struct dentry *alias;
	char *name;

	rcu_read_lock();
	if (d_unlinked(path.dentry) && inode->i_nlink) {
		spin_lock(&inode->i_lock);
		hlist_for_each_entry(alias, &inode->i_dentry, d_u.d_alias)
			if (!d_unhashed(alias))
				path.dentry = alias;
		spin_unlock(&inode->i_lock);
	}
	name = d_path(&path, buffer, FILE_PATH);
	rcu_read_unlock();
	return name;
}

static void file_put_head(struct tracked *t, u64 id, u32 why, bool repeated, char *buffer)
{
	struct inode *inode = d_inode(t->path.dentry);
	struct rec_file *rec = (struct rec_file *)buffer;
	char *name;

	memset(rec, 0, sizeof(*rec));
	rec->head.type = REC_FILE;
	rec->id = id;
	rec->device = t->device;
	rec->inode = t->inode;
	rec->generation = t->generation;
	rec->size = i_size_read(inode);
	rec->clock_ns = clock_offset;
	rec->version = t->version;
	rec->why = why;
	rec->mode = inode->i_mode;
	rec->uid = from_kuid(&init_user_ns, inode->i_uid);
	rec->links = inode->i_nlink;
	rec->repeated = repeated;
	rec->writers = t->writers;
	memcpy(rec->writer, t->writer, sizeof(rec->writer));
	name = file_name(t, rec->path);
	if (!IS_ERR(name)) {
		rec->path_size = strlen(name);
		memmove(rec->path, name, rec->path_size);
	}
	memset(rec->path + rec->path_size, 0, 8);
	rec->head.size = sizeof(*rec) + ((rec->path_size + 7) & ~7U);
	stream_put(&files_ring, &rec->head);
}

/* With files_lock: decide whether this moment's version is taken, and do the accounts. */
static bool take_begin(struct tracked *t, u32 why, bool repeated, u64 *id, u64 *limit)
{
	struct inode *inode = d_inode(t->path.dentry);
	u64 size = i_size_read(inode), left;

	if (!repeated && !tracked_changed(t)) {
		t->flags |= RELEASE;
		return false;
	}
	/* A log that is closed after every line would be taken line by line: wait until it has doubled, or for the end. */
	if (t->version >= FILE_EAGER && why != WHY_END && why != WHY_EXECUTED && !repeated && size < 2 * t->taken_size)
		return false;
	t->flags &= ~(DIRTY | GAPS);
	if (!mapping_writably_mapped(inode->i_mapping))
		t->flags &= ~MAPPED;
	t->size = size;
	t->ctime = inode_get_ctime(inode);
	if (files_control->count >= files_control->limit_count || files_control->total >= files_control->limit_total) {
		files_control->refused++;
		t->flags |= RELEASE;
		return false;
	}
	*id = files_control->count++;
	left = files_control->limit_total - files_control->total;
	*limit = min(files_control->limit_size, left);
	files_control->total += min(size, *limit);
	t->version += !repeated;
	t->taken_size = size;
	t->busy++;
	return true;
}

/* With files_lock, which is given up meanwhile; `reader` only where sleeping is allowed. */
static void take(struct tracked *t, u32 why, bool repeated, char *buffer, struct file *reader)
{
	struct rec_file_end end;
	u64 id, limit;

	if (!take_begin(t, why, repeated, &id, &limit))
		return;
	spin_unlock(&files_lock);
	file_put_head(t, id, why, repeated, buffer);
	file_copy(d_inode(t->path.dentry), id, limit, buffer, reader, &end);
	spin_lock(&files_lock);
	t->busy--;
	if (end.missing && !reader)
		t->flags |= GAPS;
	if (!(t->flags & (DIRTY | MAPPED)))
		t->flags |= RELEASE;
}

/* What was taken is not to be held longer than needed: a file system in use cannot be unmounted. */
static void files_hurry(void)
{
	mod_delayed_work(system_wq, &files_work, 0);
}

static char *probe_buffer(void)
{
	return this_cpu_ptr(&scratches)->data;
}

/* What the current process has written (`all`: anybody), when it ends. What is being copied stays in the list. */
static void files_sweep(u32 why, bool all)
{
	struct tracked *t;

	if (list_empty(&files_held))
		return;
	spin_lock(&files_lock);
	list_for_each_entry(t, &files_held, list) {
		u32 i, writers = min_t(u32, t->writers, FILE_WRITERS);

		for (i = 0; !all && i < writers && t->writer[i].pid != current->tgid; i++)
			;
		if ((all || i < writers) && !t->busy && !(t->flags & RELEASE))
			take(t, why, false, probe_buffer(), NULL);
	}
	spin_unlock(&files_lock);
	files_hurry();
}

/* With files_lock. The path is the caller's to put. */
static bool tracked_release(struct tracked *t, struct path *path)
{
	if (t->busy || !(t->flags & RELEASE) || t->flags & (DIRTY | GAPS))
		return false;
	*path = t->path;
	t->flags = 0;
	list_del(&t->list);
	files_control->held--;
	return true;
}

static void file_close(unsigned int fd)
{
	struct file *file = fget(fd);
	bool released = false, taken = false;
	struct tracked *t;
	struct path path;

	if (!file)
		return;
	/* One reference is the table's, one ours: with more of them somebody else can still write. */
	if (file_kept(file) && file_count(file) <= 2) {
		spin_lock(&files_lock);
		t = tracked_find(file_inode(file), false);
		if (t && t->flags & HELD && !t->busy) {
			take(t, WHY_CLOSED, false, probe_buffer(), NULL);
			/* The file has a reference of its own, so giving ours back does not sleep. */
			released = path_equal(&t->path, &file->f_path) && tracked_release(t, &path);
			taken = t->flags & (GAPS | RELEASE);
		}
		spin_unlock(&files_lock);
	}
	if (released)
		path_put(&path);
	else if (taken)
		files_hurry();
	fput(file);
}

static void files_executed(struct file *file)
{
	struct tracked *t;

	spin_lock(&files_lock);
	t = tracked_find(file_inode(file), false);
	if (t && t->flags & HELD && !t->busy && t->flags & (DIRTY | MAPPED))
		take(t, WHY_EXECUTED, false, probe_buffer(), NULL);
	spin_unlock(&files_lock);
}

static void files_process_exit(void)
{
	files_sweep(WHY_EXIT, ring->live <= 1);
}

static u8 file_call_of(long nr, bool compat)
{
	if (nr < 0)
		return FILE_NONE;
	if (compat)
		return nr < ARRAY_SIZE(file_calls_32) ? file_calls_32[nr] : FILE_NONE;
	nr &= ~__X32_SYSCALL_BIT;
	return nr < ARRAY_SIZE(file_calls_64) ? file_calls_64[nr] : FILE_NONE;
}

/* At the entry of a call of a traced task. */
static void files_enter(struct pt_regs *regs, long nr)
{
	u8 call = file_call_of(nr, syscall_get_arch(current) == AUDIT_ARCH_I386);
	unsigned long args[6];

	if ((call & 0xf0) == FILE_CLOSE) {
		syscall_get_arguments(current, regs, args);
		file_close(args[call & 0xf]);
	} else if (call == FILE_REBOOT) {
		files_sweep(WHY_END, true);
	}
}

/* At its return. */
static void files_exit(struct pt_regs *regs, long ret)
{
	u8 call = file_call_of(syscall_get_nr(current, regs), syscall_get_arch(current) == AUDIT_ARCH_I386);
	u8 kind = call & 0xf0;
	unsigned long args[6];
	struct file *file;

	if (IS_ERR_VALUE(ret) || (kind != FILE_WRITE && kind != FILE_OPEN && kind != FILE_MAP))
		return;
	syscall_get_arguments(current, regs, args);
	if (kind == FILE_MAP && (args[3] & MAP_ANONYMOUS || (args[3] & MAP_TYPE) == MAP_PRIVATE))
		return;
	file = fget(kind == FILE_OPEN ? (u32)ret : (u32)args[call & 0xf]);
	if (!file)
		return;
	if (file_kept(file)) {
		if (kind == FILE_OPEN)
			file_touch(file, i_size_read(file_inode(file)) ? WATCHED : DIRTY);
		else
			file_touch(file, kind == FILE_MAP ? DIRTY | MAPPED : DIRTY);
	}
	fput(file);
}

/* With files_lock, which is given up meanwhile. A file system of the sample's own could keep the reader for ever. */
static void take_sleeping(struct tracked *t, u32 why, bool repeated)
{
	struct file *reader = NULL;

	if (t->path.dentry->d_sb->s_magic != FUSE_SUPER_MAGIC) {
		t->busy++;
		spin_unlock(&files_lock);
		reader = dentry_open(&t->path, O_RDONLY | O_LARGEFILE | O_NOATIME | __FMODE_NONOTIFY, current_cred());
		spin_lock(&files_lock);
		t->busy--;
	}
	take(t, why, repeated, files_buffer, IS_ERR_OR_NULL(reader) ? NULL : reader);
	if (!IS_ERR_OR_NULL(reader))
		fput(reader);
}

static void files_list_tasks(void)
{
	struct task_struct *task;
	u64 found = 0;

	rcu_read_lock();
	for_each_process(task)
		if (task->pid < TID_LIMIT && test_bit(task->pid, traced_tids)) {
			if (found < FILES_TASKS)
				files_control->task[found] = task->pid;
			found++;
		}
	rcu_read_unlock();
	files_control->tasks = found;
}

/* With files_lock, which may be given up; tell whether the file was let go. */
static bool files_attend(struct tracked *t, bool asked)
{
	bool idle = t->flags & DIRTY && ktime_get_mono_fast_ns() - t->touched_ns > FILES_IDLE_NS;
	struct path path;

	if (t->busy)
		return false;
	if (t->flags & GAPS) {
		take_sleeping(t, WHY_END, true);
		t->flags &= ~GAPS;
	} else if (asked || (idle && !(t->flags & RELEASE))) {
		take_sleeping(t, asked ? WHY_END : WHY_IDLE, false);
		if (asked)
			t->flags = (t->flags & ~MAPPED) | RELEASE;
	}
	if (!tracked_release(t, &path))
		return false;
	spin_unlock(&files_lock);
	path_put(&path);
	spin_lock(&files_lock);
	return true;
}

/* Every 50 ms: what has to sleep, and what the host asks for. */
static void files_work_run(struct work_struct *work)
{
	u64 wanted = READ_ONCE(files_control->wanted);
	bool asked = wanted != files_control->answered, all = true;
	struct tracked *t;
	u32 steps = 0;

	spin_lock(&files_lock);
restart:
	list_for_each_entry(t, &files_held, list)
		if (files_attend(t, asked) && ++steps < 2 * TRACKED_SLOTS)
			goto restart;
	list_for_each_entry(t, &files_held, list)
		all = all && !t->busy;
	spin_unlock(&files_lock);
	if (asked && all) {
		files_list_tasks();
		smp_store_release(&files_control->answered, wanted);
	}
	schedule_delayed_work(&files_work, HZ / 20);
}
