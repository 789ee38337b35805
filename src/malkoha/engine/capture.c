/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A system call as two records: its arguments with the memory they point to at entry, and its result with the memory
 * it filled at return. What to copy for which call stands in the calls_ and variants_ tables, generated from syscalls.tbl.
 */
#include <asm/syscall.h>
#include <linux/stp_tracepoint.h>
#include <linux/workqueue.h>

struct call {
	struct operations plain;
	u16 variants;		/* index of the first one, plus one */
	u8 identity;		/* it may change who the caller is */
	u8 local;		/* it may give the socket an address: argument that has to be there, plus one */
};

/* What the arguments point to when others of them have certain values: requests of ioctl(2) and the like. */
struct variant {
	u16 call;
	u8 first;		/* argument; the bits of mask of it are value */
	u8 second;		/* another, whose lower 32 bits are other; ANY: none */
	u32 mask;
	u32 value;
	u32 other;
	struct operations instead;
};

#define ANY 7

struct rec_enter {
	struct rec_head head;
	s32 nr;
	s32 ppid;
	u64 ip;
	u64 args[6];
	char comm[TASK_COMM_LEN];
};

struct rec_exit {
	struct rec_head head;
	s32 nr;
	u32 reserved;
	s64 ret;
};

enum { ABI_X86_64 = 0, ABI_I386 = 1, ABI_X32 = 2, ABI_MULTIPLEXED = 3, FLAG_LATE = 0x100 };

static bool capture_create(void)
{
	inside_call = (unsigned long *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO, BITMAP_ORDER);
	unread_memory = (unsigned long *)__get_free_pages(GFP_ATOMIC | __GFP_ZERO, BITMAP_ORDER);
	return inside_call && unread_memory;
}

/* One system call as it is recorded: by way of socketcall(2) or ipc(2) it is the call that they make. */
struct made {
	long nr;
	u16 abi;
	bool compat;
	unsigned long args[6];
	const struct operations *copy;
	bool identity;
	u8 local;
};

static const struct operations nothing;

static const struct operations *pick(const struct call *calls, const struct variant *variants, size_t count, long nr,
				    const unsigned long *args)
{
	const struct variant *one;
	u16 i;

	for (i = calls[nr].variants; i && i <= count; i++) {
		one = &variants[i - 1];
		if (one->call != nr)
			break;
		if (((u32)args[one->first] & one->mask) == one->value &&
		    (one->second == ANY || (u32)args[one->second] == one->other))
			return &one->instead;
	}
	return &calls[nr].plain;
}

static void find_operations(struct made *call)
{
	long nr = call->nr;

	call->copy = &nothing;
	call->identity = false;
	call->local = 0;
	if (nr < 0)
		return;
	if (call->abi == ABI_MULTIPLEXED) {
		if (nr < ARRAY_SIZE(calls_multiplexed)) {
			call->copy = pick(calls_multiplexed, variants_multiplexed, ARRAY_SIZE(variants_multiplexed), nr, call->args);
			call->local = calls_multiplexed[nr].local;
		}
	} else if (call->compat) {
		if (nr < ARRAY_SIZE(calls_32)) {
			call->copy = pick(calls_32, variants_32, ARRAY_SIZE(variants_32), nr, call->args);
			call->identity = calls_32[nr].identity;
			call->local = calls_32[nr].local;
		}
	} else {
		nr &= ~__X32_SYSCALL_BIT;
		if (nr < ARRAY_SIZE(calls_64)) {
			call->copy = pick(calls_64, variants_64, ARRAY_SIZE(variants_64), nr, call->args);
			call->identity = calls_64[nr].identity;
			call->local = calls_64[nr].local;
		}
	}
}

static void user_words(unsigned long *to, u64 from, u32 count)
{
	u32 narrow[6] = { 0 }, i;

	if (user_bytes((char *)narrow, from, count * 4) < count * 4)
		unread();
	for (i = 0; i < 6; i++)
		to[i] = narrow[i];
}

/* socketcall(2): the arguments stand in memory. */
static void unpack_socketcall(struct made *call)
{
	static const u8 words[] = { 0, 3, 3, 3, 2, 3, 3, 3, 4, 4, 4, 6, 6, 2, 5, 5, 3, 3, 4, 5, 4 };
	unsigned long operation = call->args[0];

	if (!operation || operation >= ARRAY_SIZE(words))
		return;
	user_words(call->args, call->args[1], words[operation]);
	call->nr = operation;
	call->abi = ABI_MULTIPLEXED;
}

/* ipc(2): call, first, second, third, ptr, fifth, in another order for each operation. */
static void unpack_ipc(struct made *call)
{
	unsigned long operation = call->args[0] & 0xffff, version = call->args[0] >> 16;
	unsigned long first = call->args[1], second = call->args[2], third = call->args[3], ptr = call->args[4];
	unsigned long fifth = call->args[5], word[6] = { 0 };
	unsigned long to[6] = { first, second, third, 0, 0, 0 };

	switch (operation) {
	case 1: case 4:				/* semop, semtimedop: semid, sops, nsops, timeout */
		to[1] = ptr, to[2] = second, to[3] = fifth;
		break;
	case 3:					/* semctl: semid, semnum, cmd, arg */
		user_words(word, ptr, 1);
		to[3] = word[0];
		break;
	case 11:				/* msgsnd: msqid, msgp, msgsz, msgflg */
		to[1] = ptr, to[2] = second, to[3] = third;
		break;
	case 12:				/* msgrcv: msqid, msgp, msgsz, msgtyp, msgflg */
		to[1] = ptr, to[2] = second, to[3] = fifth, to[4] = third;
		if (!version) {
			user_words(word, ptr, 2);
			to[1] = word[0], to[3] = word[1];
		}
		break;
	case 14: case 24:			/* msgctl, shmctl: id, cmd, buf */
		to[2] = ptr;
		break;
	case 21:				/* shmat: shmid, shmaddr, shmflg */
		to[1] = ptr, to[2] = second;
		break;
	case 22:				/* shmdt: shmaddr */
		to[0] = ptr;
		break;
	case 2: case 13: case 23:		/* semget, msgget, shmget */
		break;
	default:
		return;
	}
	memcpy(call->args, to, sizeof(to));
	call->nr = 32 + operation;
	call->abi = ABI_MULTIPLEXED;
}

static bool call_compat(void)
{
	return syscall_get_arch(current) == AUDIT_ARCH_I386;
}

/* Of a 32-bit call the kernel takes the low halves, whatever the registers hold above them. */
static void read_call(struct made *call, struct pt_regs *regs, long nr)
{
	u8 i;

	call->nr = nr;
	call->compat = call_compat();
	call->abi = call->compat ? ABI_I386 : nr > 0 && (nr & __X32_SYSCALL_BIT) ? ABI_X32 : ABI_X86_64;
	syscall_get_arguments(current, regs, call->args);
	for (i = 0; call->compat && i < 6; i++)
		call->args[i] = (u32)call->args[i];
	if (call->compat && nr == 102)
		unpack_socketcall(call);
	else if (call->compat && nr == 117)
		unpack_ipc(call);
	find_operations(call);
}

static void record_enter(struct pt_regs *regs, const struct made *call, u16 flags)
{
	struct rec_enter *rec = rec_begin_bare(REC_ENTER, flags | call->abi, sizeof(*rec));
	unsigned long bits;
	u8 i;

	rec->nr = call->nr;
	rec->ppid = rcu_dereference(current->real_parent)->tgid;
	rec->ip = regs->ip;
	for (i = 0; i < 6; i++)
		rec->args[i] = call->args[i];
	memcpy(rec->comm, current->comm, TASK_COMM_LEN);
	for (bits = call->copy->at_entry; bits; bits &= bits - 1) {
		i = __ffs(bits);
		capture_entry(&call->copy->arg[i], i, 0, call->args, call->compat);
	}
	rec_end();
}

static void call_enter(struct pt_regs *regs, long nr)
{
	struct made call;

	if (!is_traced())
		return;
	clear_bit(current->pid, unread_memory);
	set_bit(current->pid, inside_call);
	read_call(&call, regs, nr);
	record_enter(regs, &call, 0);
	files_enter(regs, nr);
}

/* A new task returns from the fork that its creator made: no call of its own. */
static bool returns_from_fork(long nr, long ret, bool compat)
{
	if (ret)
		return false;
	return compat ? nr == 2 || nr == 120 || nr == 190 || nr == 435 : nr == 56 || nr == 57 || nr == 58 || nr == 435;
}

static void call_exit(struct pt_regs *regs, long ret)
{
	struct made call;
	struct rec_exit *rec;
	unsigned long bits;
	bool again;
	long nr;
	u8 i;

	if (!is_traced() && !return_of_stranger(regs, ret))
		return;
	nr = syscall_get_nr(current, regs);
	again = test_bit(current->pid, unread_memory);
	read_call(&call, regs, nr);
	if (!test_and_clear_bit(current->pid, inside_call)) {
		if (returns_from_fork(nr, ret, call.compat))
			return;
		/* Refused before the entry probe could see it: by seccomp or a ptracer. */
		record_enter(regs, &call, FLAG_LATE);
	}
	rec = rec_begin_bare(REC_EXIT, call.abi, sizeof(*rec));
	rec->reserved = 0;
	rec->nr = call.nr;
	rec->ret = ret;
	for (bits = call.copy->at_return | (again ? call.copy->at_entry : 0); bits; bits &= bits - 1) {
		const struct operation *op = &call.copy->arg[i = __ffs(bits)];

		if (again && call.copy->at_entry & 1 << i)
			capture_entry(op, i, 0, call.args, call.compat);
		if (call.copy->at_return & 1 << i)
			capture_return(op, i, call.args, ret, call.compat);
	}
	if (call.identity && ret >= 0)
		blob_identity(IDENTITY_ARGUMENT, current);
	if (call.local && call.args[call.local - 1])
		blob_local(LOCAL_ARGUMENT, call.args[0]);
	clear_bit(current->pid, unread_memory);
	rec_end();
	files_exit(regs, ret);
	return_of_traced(nr, call.compat, call.args, ret);
}

static void probe_enter(void *unused, struct pt_regs *regs, long nr)
{
	call_enter(regs, nr);
}

static void probe_exit(void *unused, struct pt_regs *regs, long ret)
{
	call_exit(regs, ret);
}

/*
 * The two tracepoints are given to our functions by the runtime's own layer, without the prologue that SystemTap puts in
 * front of a probe: a fifth of what recording a call costs, and a limit of skipped probes at which it would stop.
 * Registering sleeps, which "probe begin" may not; the ring's magic tells the host when it is done.
 */
static void register_probes(struct work_struct *work)
{
	if (!stp_tracepoint_probe_register("sys_exit", probe_exit, NULL) &&
	    !stp_tracepoint_probe_register("sys_enter", probe_enter, NULL))
		stream_begin(&events_ring);
}

static DECLARE_WORK(registering, register_probes);
