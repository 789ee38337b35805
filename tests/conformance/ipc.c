/* Messages, semaphores and shared memory: System V and POSIX. */
#include "conform.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

void ipc(void)
{
	struct { long type; char text[32]; } message = { 5, "a message" };
	struct sembuf steps[2] = { { 0, 1, 0 }, { 0, -1, IPC_NOWAIT | SEM_UNDO } };
	struct timespec soon = { 0, 1000000 }, past = { 1, 0 };
	struct mq_attr attributes = { 0, 4, 64, 0 };
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	unsigned priority;
	long at;
	int id, queue;

	id = CALL(SYS_shmget, IPC_PRIVATE, 8192, IPC_CREAT | 0600);
	CALL(SYS_shmget, 0x5a5a5a, 4096, 0);
	at = CALL(SYS_shmat, id, NULL, SHM_RDONLY);
	CALL(SYS_shmat, 999999, NULL, 0);
	CALL(SYS_shmctl, id, IPC_STAT, buffer);
	CALL(SYS_shmctl, id, 99, buffer);
	CALL(SYS_shmdt, at);
	CALL(SYS_shmdt, 0x1000);
	CALL(SYS_shmctl, id, IPC_RMID, NULL);
	id = CALL(SYS_semget, 0x777, 2, IPC_CREAT | IPC_EXCL | 0640);
	CALL(SYS_semget, 0x777, 2, IPC_CREAT | IPC_EXCL | 0640);
	CALL(SYS_semctl, id, 1, SETVAL, 3);
	CALL(SYS_semctl, id, 1, GETVAL, 0);
	CALL(SYS_semctl, id, 0, IPC_STAT, buffer);
	CALL(SYS_semop, id, steps, 2);
	CALL(SYS_semop, id, steps + 1, 1);
	CALL(SYS_semtimedop, id, steps + 1, 1, &soon);
	CALL(SYS_semtimedop, 999999, steps, 1, NULL);
	CALL(SYS_semctl, id, 0, IPC_RMID, 0);
	id = CALL(SYS_msgget, IPC_PRIVATE, IPC_CREAT | 0600);
	CALL(SYS_msgget, 0x123, 0);
	CALL(SYS_msgsnd, id, &message, 9, 0);
	CALL(SYS_msgsnd, 999999, &message, 9, IPC_NOWAIT);
	CALL(SYS_msgctl, id, IPC_STAT, buffer);
	CALL(SYS_msgrcv, id, &message, 32, 0, 0);
	CALL(SYS_msgrcv, id, &message, 32, -3L, IPC_NOWAIT | MSG_NOERROR);
	CALL(SYS_msgctl, id, IPC_RMID, NULL);
	queue = CALL(SYS_mq_open, "conform", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
	CALL(SYS_mq_open, "nothing", O_RDONLY, 0, NULL);
	CALL(SYS_mq_timedsend, queue, "posix", 5, 3, NULL);
	CALL(SYS_mq_timedsend, NOFD, "posix", 5, 3, &past);
	CALL(SYS_mq_getsetattr, queue, NULL, &attributes);
	CALL(SYS_mq_getsetattr, queue, &attributes, NULL);
	CALL(SYS_mq_timedreceive, queue, buffer, 64, &priority, NULL);
	CALL(SYS_mq_timedreceive, queue, buffer, 64, &priority, &past);
	CALL(SYS_mq_notify, queue, &event);
	CALL(SYS_mq_notify, NOFD, NULL);
	CALL(SYS_mq_unlink, "conform");
	CALL(SYS_mq_unlink, "conform");
}
