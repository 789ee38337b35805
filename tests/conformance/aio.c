/* Asynchronous input and output: the old calls and io_uring. */
#include "conform.h"
#include <linux/aio_abi.h>
#include <linux/io_uring.h>

void aio(void)
{
	struct timespec none = { 0, 0 };
	struct io_uring_params params = { .flags = IORING_SETUP_CLAMP, .sq_entries = 0 }, bad = { .flags = 0x40000000 };
	struct { void *base; size_t size; } vectors[2] = { { buffer, 4096 }, { buffer + 4096, 4096 } };
	aio_context_t context = 0;
	struct io_event events[4];
	int fd = CALL(SYS_open, "/tmp/conform.aio", O_RDWR | O_CREAT, 0600), ring;
	struct iocb write_it = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uint64_t)"by aio", .aio_nbytes = 6,
		.aio_data = 0x77 };
	struct iocb read_it = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_buf = (uint64_t)buffer, .aio_nbytes = 6 };
	struct iocb *both[2] = { &write_it, &read_it };

	CALL(SYS_io_setup, 4, &context);
	CALL(SYS_io_setup, 4, BAD);
	CALL(SYS_io_submit, context, 2, both);
	CALL(SYS_io_submit, context, 1, BAD);
	CALL(SYS_io_getevents, context, 1, 4, events, NULL);
	CALL(SYS_io_getevents, context, 0, 4, events, &none);
	CALL(SYS_io_getevents, 0x10, 1, 4, events, &none);
	CALL(SYS_io_pgetevents, context, 0, 4, events, &none, NULL);
	CALL(SYS_io_cancel, context, &write_it, events);
	CALL(SYS_io_destroy, context);
	CALL(SYS_io_destroy, 0x10);
	ring = CALL(SYS_io_uring_setup, 4, &params);
	CALL(SYS_io_uring_setup, 4, &bad);
	CALL(SYS_io_uring_enter, ring, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	CALL(SYS_io_uring_enter, NOFD, 1, 1, 0, NULL, 0);
	CALL(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, vectors, 2);
	CALL(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	CALL(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1);
	CALL(SYS_io_uring_register, NOFD, IORING_REGISTER_EVENTFD, &fd, 1);
	CALL(SYS_unlink, "/tmp/conform.aio");
}
