/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Copies what the arguments of a system call point to into blobs of the record that is being made: one operation an
 * argument. Nothing here faults a page in; what is not in memory at entry is read again at return.
 */
#include <linux/socket.h>

#define STRING_LIMIT 4096
#define VECTOR_LIMIT 32768
#define BUFFER_LIMIT 1024
#define INPUT_LIMIT 8192	/* an interpreter reads its script from standard input in such pieces */
#define MESSAGES_LIMIT 4
#define POINTERS_LIMIT 16
#define HANDLE_LIMIT 128

/* Operation at entry: what the argument points to. */
enum { OP_NONE = 0, OP_STRING = 1, OP_STRINGS = 2, OP_STRUCT = 3, OP_BUFFER = 4, OP_ARRAY = 5, OP_IOVEC = 6,
       OP_MESSAGE = 7, OP_MESSAGES = 8, OP_FILTER = 9, OP_SIGNALS = 10, OP_POINTERS = 11, OP_QUEUED = 12,
       OP_HANDLE = 13, OP_BITS = 14,
       /* Operation at return. */
       OP_OUT_STRUCT = 16, OP_OUT_BUFFER = 17, OP_OUT_ADDRESS = 18, OP_OUT_IOVEC = 19, OP_OUT_MESSAGE = 20,
       OP_OUT_RETURNED = 21, OP_OUT_POINTED = 22, OP_OUT_BYTES = 23, OP_OUT_ARRAY = 24, OP_OUT_BITS = 25,
       OP_OUT_PAGES = 26, OP_OUT_MESSAGES = 27, OP_OUT_QUEUED = 28, OP_OUT_POSITIVE = 29, OP_OUT_INTERRUPTED = 30 };

/* With an operation at entry: read at return as well, since the call changes what is there. */
#define OP_AGAIN 0x40
#define OP_CODE 0x3f
#define RETURN_PART 0x100

/* Of that argument the kernel takes 32 bits only: what is above them may be garbage, meant to mislead. */
#define INDEX_NARROW 0x80

struct operation {
	u8 code;
	u8 index;		/* argument that holds the length or the count, maybe with INDEX_NARROW */
	u16 size;		/* of the structure or of one element */
};

struct operations {
	struct operation arg[6];
	u8 at_entry;		/* bits: the arguments that have one */
	u8 at_return;
};

static void unread(void)
{
	set_bit(current->pid, unread_memory);
}

static __always_inline bool user_piece(char *to, u64 from, u32 size)
{
	unsigned long left;

	if (!access_ok((void __user *)from, size))
		return false;
	pagefault_disable();
	left = __copy_from_user_inatomic(to, (void __user *)from, size);
	pagefault_enable();
	return !left;
}

/* Read up to the first page that cannot be read, as the kernel itself does; return how many bytes that were. */
static u32 user_bytes(char *to, u64 from, u32 size)
{
	u32 done = 0;

	while (done < size) {
		u32 step = min_t(u64, size - done, PAGE_SIZE - offset_in_page(from + done));

		if (!user_piece(to + done, from + done, step))
			break;
		done += step;
	}
	return done;
}

static long user_string(char *to, u64 from, long limit)
{
	long length;

	pagefault_disable();
	length = strncpy_from_user(to, (const char __user *)from, limit);
	pagefault_enable();
	return length;
}

static void capture_string(u8 arg, u64 pointer)
{
	struct blob_head *blob = pointer ? blob_begin(arg, 0, STRING_LIMIT) : NULL;
	long length;

	if (!blob)
		return;
	length = user_string(blob_data(blob), pointer, STRING_LIMIT);
	if (length < 0) {
		unread();
		blob_end(blob, 0, 0, 2);
	} else {
		blob_end(blob, length, length, length == STRING_LIMIT);
	}
}

static bool user_pointer(u64 *to, u64 from, bool compat)
{
	u32 narrow;

	if (!compat)
		return !copy_from_user_nofault(to, (void __user *)from, 8);
	if (copy_from_user_nofault(&narrow, (void __user *)from, 4))
		return false;
	*to = narrow;
	return true;
}

/* argv, envp: the strings one behind the other, each with its NUL. */
static void capture_strings(u8 arg, u64 pointer, bool compat)
{
	struct blob_head *blob = pointer ? blob_begin(arg, 0, VECTOR_LIMIT) : NULL;
	u32 used = 0;
	u64 count = 0, string;
	u8 status = 0;

	if (!blob)
		return;
	for (;; count++, pointer += compat ? 4 : 8) {
		long length;

		if (!user_pointer(&string, pointer, compat)) {
			unread();
			status = 2;
			break;
		}
		if (!string)
			break;
		if (used + 2 > VECTOR_LIMIT) {
			status = 1;
			break;
		}
		length = user_string(blob_data(blob) + used, string, VECTOR_LIMIT - used - 1);
		if (length < 0) {
			unread();
			status = 2;
			break;
		}
		used += length;
		blob_data(blob)[used++] = 0;
		if (used >= VECTOR_LIMIT - 1)
			status = 1;
	}
	blob_end(blob, used, count, status);
}

static void capture_memory(u8 arg, u16 part, u64 pointer, u64 total, u32 limit)
{
	u32 size = min_t(u64, total, limit);
	struct blob_head *blob = pointer ? blob_begin(arg, part, size) : NULL;
	u32 stored;

	if (!blob)
		return;
	stored = user_bytes(blob_data(blob), pointer, size);
	if (stored < size)
		unread();
	blob_end(blob, stored, total, stored < size ? 2 : size < total);
}

/* The content that an iovec array gathers, up to BUFFER_LIMIT bytes, as one blob. */
static void capture_iovec(u8 arg, u16 part, u64 pointer, u64 count, u64 limit, bool compat)
{
	struct blob_head *blob = pointer ? blob_begin(arg, part, BUFFER_LIMIT) : NULL;
	u32 used = 0, step = compat ? 4 : 8;
	u64 total = 0, i;
	u8 status = 0;

	if (!blob)
		return;
	for (i = 0; i < min_t(u64, count, 1024); i++, pointer += 2 * step) {
		u64 base, length;
		u32 size, stored;

		if (!user_pointer(&base, pointer, compat) || !user_pointer(&length, pointer + step, compat)) {
			unread();
			status = 2;
			break;
		}
		length = min(length, limit - total);
		total += length;
		size = min_t(u64, length, BUFFER_LIMIT - used);
		stored = user_bytes(blob_data(blob) + used, base, size);
		used += stored;
		if (stored < size) {
			unread();
			status = 2;
			break;
		}
	}
	if (!status && used < total)
		status = 1;
	blob_end(blob, used, total, status);
}

/* Parts of a message: 0 the header itself, 1 the address, 2 the content, 3 the control data. */
static void capture_message(u8 arg, u16 part, u64 pointer, u64 limit, bool compat)
{
	u64 field[7] = { 0 };
	u32 i, step = compat ? 4 : 8;

	for (i = 0; i < 7; i++) {
		if (!pointer || !user_pointer(&field[i], pointer + i * step, compat)) {
			unread();
			return;
		}
	}
	/* msg_name, msg_namelen (int), msg_iov, msg_iovlen, msg_control, msg_controllen, msg_flags (int) */
	blob_copy(arg, part, field, sizeof(field));
	capture_memory(arg, part + 1, field[0], (u32)field[1], 128);
	capture_iovec(arg, part + 2, field[2], field[3], limit, compat);
	capture_memory(arg, part + 3, field[4], field[5], 256);
}

/* Behind the header of each message stands how much of it was received. */
static void capture_messages(u8 arg, u64 pointer, u64 count, bool received, bool compat)
{
	u32 i, step = compat ? 32 : 64, length;

	for (i = 0; i < min_t(u64, count, MESSAGES_LIMIT); i++, pointer += step) {
		if (!received)
			capture_message(arg, i * 4, pointer, ~0ULL >> 1, compat);
		else if (!copy_from_user_nofault(&length, (void __user *)(pointer + (compat ? 28 : 56)), 4))
			capture_message(arg, i * 4, pointer, length, compat);
	}
}

/* struct sock_fprog: part 0 is how many instructions it has, part 1 are they. */
static void capture_filter(u8 arg, u64 pointer, bool compat)
{
	u16 count;
	u64 program;

	if (!pointer)
		return;
	if (copy_from_user_nofault(&count, (void __user *)pointer, 2) ||
	    !user_pointer(&program, pointer + (compat ? 4 : 8), compat)) {
		unread();
		return;
	}
	blob_copy(arg, 0, &count, sizeof(count));
	capture_memory(arg, 1, program, count * 8, BUFFER_LIMIT);
}

/* pselect6(2): a pointer to a signal mask and the mask's size. */
static void capture_signals(u8 arg, u64 pointer, bool compat)
{
	u64 mask;

	if (!pointer)
		return;
	if (!user_pointer(&mask, pointer, compat)) {
		unread();
		return;
	}
	capture_memory(arg, 0, mask, 8, 8);
}

static void capture_pointers(u8 arg, u64 pointer, u64 count, u32 size, bool compat)
{
	u64 element;
	u32 i;

	for (i = 0; pointer && i < min_t(u64, count, POINTERS_LIMIT); i++) {
		if (!user_pointer(&element, pointer + i * (compat ? 4 : 8), compat)) {
			unread();
			return;
		}
		capture_memory(arg, i, element, size, size);
	}
}

static void capture_handle(u8 arg, u16 part, u64 pointer)
{
	u32 size = 0;

	if (pointer && copy_from_user_nofault(&size, (void __user *)pointer, 4))
		unread();
	else
		capture_memory(arg, part, pointer, 8 + min_t(u32, size, HANDLE_LIMIT), 8 + HANDLE_LIMIT);
}

/* A mask of bits is read in unsigned longs. */
static u64 bytes_of_bits(u64 bits, bool compat)
{
	bits = min_t(u64, bits, 8 * BUFFER_LIMIT);
	return compat ? (bits + 31) / 32 * 4 : (bits + 63) / 64 * 8;
}

static u64 length_of(const struct operation *op, const unsigned long *args)
{
	u64 length = args[op->index & ~INDEX_NARROW];

	return op->index & INDEX_NARROW ? (u32)length : length;
}

static void capture_entry(const struct operation *op, u8 arg, u16 part, const unsigned long *args, bool compat)
{
	u64 pointer = args[arg];

	switch (op->code & OP_CODE) {
	case OP_STRING:
		capture_string(arg, pointer);
		break;
	case OP_STRINGS:
		capture_strings(arg, pointer, compat);
		break;
	case OP_STRUCT:
		capture_memory(arg, part, pointer, op->size, op->size);
		break;
	case OP_BUFFER:
		capture_memory(arg, part, pointer, length_of(op, args), BUFFER_LIMIT);
		break;
	case OP_ARRAY:
		capture_memory(arg, part, pointer, min_t(u64, length_of(op, args), 1 << 20) * op->size, BUFFER_LIMIT);
		break;
	case OP_IOVEC:
		capture_iovec(arg, 0, pointer, length_of(op, args), ~0ULL >> 1, compat);
		break;
	case OP_MESSAGE:
		capture_message(arg, 0, pointer, ~0ULL >> 1, compat);
		break;
	case OP_MESSAGES:
		capture_messages(arg, pointer, length_of(op, args), false, compat);
		break;
	case OP_FILTER:
		capture_filter(arg, pointer, compat);
		break;
	case OP_SIGNALS:
		capture_signals(arg, pointer, compat);
		break;
	case OP_POINTERS:
		capture_pointers(arg, pointer, length_of(op, args), op->size, compat);
		break;
	case OP_QUEUED:
		capture_memory(arg, 0, pointer, min_t(u64, length_of(op, args), 1 << 20) + (compat ? 4 : 8), BUFFER_LIMIT);
		break;
	case OP_HANDLE:
		capture_handle(arg, part, pointer);
		break;
	case OP_BITS:
		capture_memory(arg, part, pointer, bytes_of_bits(length_of(op, args), compat), BUFFER_LIMIT);
		break;
	}
}

static bool was_interrupted(long ret)
{
	return ret == -EINTR || (ret <= -512 && ret >= -516);
}

static void capture_return(const struct operation *op, u8 arg, const unsigned long *args, long ret, bool compat)
{
	u64 pointer = args[arg];
	u32 length = 0;

	/* name_to_handle_at(2) fails in this way and says how much room it needs. */
	if (op->code & OP_AGAIN && (ret >= 0 || ret == -EOVERFLOW))
		capture_entry(op, arg, RETURN_PART, args, compat);
	if (ret < 0 && op->code != OP_OUT_INTERRUPTED)
		return;
	switch (op->code) {
	case OP_OUT_INTERRUPTED:
		if (was_interrupted(ret))
			capture_memory(arg, 0, pointer, op->size, op->size);
		break;
	case OP_OUT_STRUCT:
		capture_memory(arg, 0, pointer, op->size, op->size);
		break;
	case OP_OUT_POSITIVE:
		if (ret)
			capture_memory(arg, 0, pointer, op->size, op->size);
		break;
	case OP_OUT_BUFFER:
		capture_memory(arg, 0, pointer, ret, !args[0] && ret <= INPUT_LIMIT ? INPUT_LIMIT : BUFFER_LIMIT);
		break;
	case OP_OUT_ADDRESS:
		if (pointer && !copy_from_user_nofault(&length, (void __user *)args[op->index], 4))
			capture_memory(arg, 0, pointer, length, 128);
		break;
	case OP_OUT_POINTED:
		if (pointer && !copy_from_user_nofault(&length, (void __user *)args[op->index], 4))
			capture_memory(arg, 0, pointer, length, BUFFER_LIMIT);
		break;
	case OP_OUT_IOVEC:
		capture_iovec(arg, 0, pointer, length_of(op, args), ret, compat);
		break;
	case OP_OUT_MESSAGE:
		capture_message(arg, 0, pointer, ret, compat);
		break;
	case OP_OUT_MESSAGES:
		capture_messages(arg, pointer, ret, true, compat);
		break;
	case OP_OUT_RETURNED:
		capture_memory(arg, 0, pointer, min_t(u64, ret, 1 << 20) * op->size, BUFFER_LIMIT);
		break;
	case OP_OUT_BYTES:
		capture_memory(arg, 0, pointer, length_of(op, args), BUFFER_LIMIT);
		break;
	case OP_OUT_ARRAY:
		capture_memory(arg, 0, pointer, min_t(u64, length_of(op, args), 1 << 20) * op->size, BUFFER_LIMIT);
		break;
	case OP_OUT_BITS:
		capture_memory(arg, 0, pointer, bytes_of_bits(length_of(op, args), compat), BUFFER_LIMIT);
		break;
	case OP_OUT_PAGES:
		capture_memory(arg, 0, pointer, (length_of(op, args) + PAGE_SIZE - 1) / PAGE_SIZE, BUFFER_LIMIT);
		break;
	case OP_OUT_QUEUED:
		capture_memory(arg, 0, pointer, ret + (compat ? 4 : 8), BUFFER_LIMIT);
		break;
	}
}
