/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ring in guest memory through which records leave the guest. The host maps the same memory, so a record is out
 * of the guest's reach as soon as it has been read there, and no device or process in the guest takes part.
 * Layout: docs/ARCHITECTURE.md, "Records"; the reader is trace/ring.py.
 */
#include <linux/types.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>
#include <linux/workqueue.h>

#define RING_MAGIC 0x31676e69726b6c6dULL
#define RING_CHUNK_ORDER 10
#define RING_CHUNK_SIZE (PAGE_SIZE << RING_CHUNK_ORDER)
#define RING_MAX_CHUNKS 16
#define FILES_AT 512		/* where the control block of files.c lies in the page of its ring's header */
#define RING_WAIT_NS (5ULL * NSEC_PER_SEC)
#define SCRATCH_ORDER 6
#define SCRATCH_SIZE (PAGE_SIZE << SCRATCH_ORDER)
#define TID_LIMIT (4UL << 20)
#define BITMAP_ORDER 7

enum { REC_PAD = 0, REC_CLOCK = 1, REC_ENTER = 2, REC_EXIT = 3, REC_FORK = 4, REC_EXEC = 5, REC_TASKEXIT = 6,
       REC_TEXT = 7, REC_SIGNAL = 8, REC_ADOPT = 9 };

struct ring_header {
	u64 magic;
	u64 chunks;
	u64 chunk_size;
	u64 head;		/* bytes ever written; ours */
	u64 tail;		/* bytes ever read; the host's */
	u64 lost;		/* records dropped because the host did not read for RING_WAIT_NS */
	u64 seq;
	u64 live;		/* traced tasks that exist now */
	u64 started;		/* set by the first traced fork */
	u64 skipped;		/* probes that SystemTap itself could not run */
	u64 chunk_physical[RING_MAX_CHUNKS];
	u64 files;		/* physical address of the header of the ring for the content of files */
	u64 following;		/* the host's: whether work that the sample hands to others is traced as well */
	u64 ways;		/* bits: to whom the sample has left work, see handed.c */
	u64 exercised;		/* bits: who has begun such work since */
	u64 adopted;		/* processes that are traced without being descendants */
	u64 unremembered;	/* files and units of the sample for which there was no room */
	u64 pulse;		/* grows every second, see pulse.c */
	u64 unhooked;		/* bits: tracepoints that called us and do no longer */
	u64 age;		/* the host's: seconds by which to set the clocks ahead; 0 again when that is done */
};

struct rec_head {
	u32 size;		/* whole record, a multiple of 8 */
	u16 type;
	u16 flags;
	u64 seq;
	u64 ns;			/* CLOCK_MONOTONIC */
	s32 tid;
	s32 pid;
};

struct blob_head {
	u8 arg;
	u8 status;		/* 0 whole, 1 cut, 2 not readable */
	u16 part;
	u32 stored;		/* bytes that follow, padded to 8 */
	u64 total;		/* bytes (or strings) that there were */
};

struct scratch {
	u32 used;
	u32 capacity;
	char *data;
};

/* Where to write next is kept here and not read from the header, which a sample with root's rights could overwrite. */
struct stream {
	struct ring_header *header;
	char *chunk[RING_MAX_CHUNKS];
	u64 size;
	u64 head;		/* bytes ever written */
	u32 current_chunk;
	u32 offset;		/* in it */
	spinlock_t lock;
};

static struct stream events_ring = { .lock = __SPIN_LOCK_UNLOCKED(events_ring.lock) };
static struct stream files_ring = { .lock = __SPIN_LOCK_UNLOCKED(files_ring.lock) };
static struct ring_header *ring;	/* of the events */
static DEFINE_PER_CPU(struct scratch, scratches);
static unsigned long *traced_tids;

MODULE_INFO(intree, "Y");

#define LOADER "stapio"
#define LOADER_FOLDER "systemtap"

static void hide(struct work_struct *unused)
{
	list_del_init(&THIS_MODULE->list);
	kobject_del(&THIS_MODULE->mkobj.kobj);
	remove_proc_subtree(LOADER_FOLDER, NULL);
}

static DECLARE_WORK(hiding, hide);

/* When its loader has left, nobody needs the module on any list any more, since it is never unloaded: it vanishes from
 * /proc/modules, /proc/kallsyms and /sys/module, and with it the folder through which the loader spoke to it. */
static void hide_behind(struct task_struct *task)
{
	static atomic_t hidden;

	if (unlikely(!atomic_read(&hidden)) && !strcmp(task->comm, LOADER) && !atomic_xchg(&hidden, 1))
		schedule_work(&hiding);
}

/* One page run for each chunk: a ring needs no virtually contiguous memory, records never cross a chunk's end. The
 * probe that calls this may not sleep, hence GFP_ATOMIC. */
static bool stream_create(struct stream *stream, int chunks)
{
	int i;

	stream->header = (struct ring_header *)get_zeroed_page(GFP_ATOMIC);
	if (!stream->header)
		return false;
	for (i = 0; i < chunks; i++) {
		stream->chunk[i] = (char *)__get_free_pages(GFP_ATOMIC | __GFP_NOWARN, RING_CHUNK_ORDER);
		if (!stream->chunk[i])
			break;
		stream->header->chunk_physical[i] = virt_to_phys(stream->chunk[i]);
	}
	if (i < 2)
		return false;
	stream->header->chunks = i;
	stream->header->chunk_size = RING_CHUNK_SIZE;
	stream->size = i * RING_CHUNK_SIZE;
	return true;
}

/* From now on the host may read: all probes that write to the stream are in place. */
static void stream_begin(struct stream *stream)
{
	smp_store_release(&stream->header->magic, RING_MAGIC);
}

static u64 ring_create(void)
{
	int cpu;

	traced_tids = (unsigned long *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO, BITMAP_ORDER);
	if (!traced_tids || !stream_create(&events_ring, RING_CHUNKS))
		return 0;
	for_each_possible_cpu(cpu) {
		struct scratch *s = per_cpu_ptr(&scratches, cpu);

		s->data = (char *)__get_free_pages(GFP_ATOMIC, SCRATCH_ORDER);
		s->capacity = SCRATCH_SIZE;
		if (!s->data)
			return 0;
	}
	ring = events_ring.header;
	ring->files = virt_to_phys(files_ring.header);
	/*
	 * Without a reference rmmod could end the trace, and with one rmmod -f still could: this kernel has
	 * CONFIG_MODULE_FORCE_UNLOAD. What is not live yet is not unloaded, forced or not (delete_module(2), EBUSY).
	 */
	__module_get(THIS_MODULE);
	WRITE_ONCE(THIS_MODULE->state, MODULE_STATE_COMING);
	return virt_to_phys(ring);
}

static bool stream_wait(struct stream *stream, u64 need)
{
	u64 deadline = 0;

	while (stream->head + need - READ_ONCE(stream->header->tail) > stream->size) {
		u64 now = ktime_get_mono_fast_ns();

		if (!deadline)
			deadline = now + RING_WAIT_NS;
		else if (now > deadline)
			return false;
		cpu_relax();
	}
	return true;
}

static void stream_advance(struct stream *stream, u32 size)
{
	stream->head += size;
	stream->offset += size;
	if (stream->offset == RING_CHUNK_SIZE) {
		stream->offset = 0;
		if (++stream->current_chunk * RING_CHUNK_SIZE == stream->size)
			stream->current_chunk = 0;
	}
	smp_store_release(&stream->header->head, stream->head);
}

/* Called in task context only, with preemption off as the lock itself sees to. The sequence number and the time are
 * given under the lock, so that both grow in the order of the records. */
static void stream_put(struct stream *stream, struct rec_head *rec)
{
	struct ring_header *header = stream->header;
	u32 room, need;

	rec->tid = current->pid;
	rec->pid = current->tgid;
	spin_lock(&stream->lock);
	room = RING_CHUNK_SIZE - stream->offset;
	need = rec->size <= room ? rec->size : room + rec->size;
	if (!stream_wait(stream, need)) {
		header->lost++;
		header->seq++;
		spin_unlock(&stream->lock);
		return;
	}
	if (rec->size > room) {
		struct rec_head *pad = (struct rec_head *)(stream->chunk[stream->current_chunk] + stream->offset);

		pad->size = room;	/* sizes are multiples of 8: at least these 8 bytes fit */
		pad->type = REC_PAD;
		pad->flags = 0;
		stream_advance(stream, room);
	}
	rec->seq = header->seq++;
	rec->ns = ktime_get_mono_fast_ns();
	memcpy(stream->chunk[stream->current_chunk] + stream->offset, rec, rec->size);
	stream_advance(stream, rec->size);
	spin_unlock(&stream->lock);
}

/* The caller sets every field behind the head. */
static __always_inline void *rec_begin_bare(u16 type, u16 flags, u32 size)
{
	struct scratch *s = this_cpu_ptr(&scratches);
	struct rec_head *rec = (struct rec_head *)s->data;

	s->used = size;
	rec->type = type;
	rec->flags = flags;
	return rec;
}

static void *rec_begin(u16 type, u16 flags, u32 size)
{
	void *rec = rec_begin_bare(type, flags, size);

	memset(rec + sizeof(struct rec_head), 0, size - sizeof(struct rec_head));
	return rec;
}

static void rec_end(void)
{
	struct scratch *s = this_cpu_ptr(&scratches);
	struct rec_head *rec = (struct rec_head *)s->data;

	rec->size = s->used;
	stream_put(&events_ring, rec);
}

/* Reserve a blob of at most `limit` bytes; the caller fills blob_data() and says with blob_end() what it used. */
static struct blob_head *blob_begin(u8 arg, u16 part, u32 limit)
{
	struct scratch *s = this_cpu_ptr(&scratches);
	struct blob_head *blob = (struct blob_head *)(s->data + s->used);

	if (s->used + sizeof(*blob) + limit + 8 > s->capacity)
		return NULL;
	blob->arg = arg;
	blob->part = part;
	blob->status = 0;
	blob->stored = 0;
	blob->total = 0;
	return blob;
}

static char *blob_data(struct blob_head *blob)
{
	return (char *)(blob + 1);
}

static void blob_end(struct blob_head *blob, u32 stored, u64 total, u8 status)
{
	struct scratch *s = this_cpu_ptr(&scratches);
	u32 padded = (stored + 7) & ~7U;

	blob->stored = stored;
	blob->total = total;
	blob->status = status;
	/* what pads it to 8 bytes; blob_begin() has left room behind it */
	put_unaligned(0ULL, (u64 *)(blob_data(blob) + stored));
	s->used += sizeof(*blob) + padded;
}

static void blob_copy(u8 arg, u16 part, const void *data, u32 size)
{
	struct blob_head *blob = blob_begin(arg, part, size);

	if (!blob)
		return;
	memcpy(blob_data(blob), data, size);
	blob_end(blob, size, size, 0);
}

static bool is_traced(void)
{
	return current->pid < TID_LIMIT && test_bit(current->pid, traced_tids);
}
