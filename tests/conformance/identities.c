/* Who a process is: ids, groups, capabilities, limits of what it may do. */
#include "conform.h"

void identities(void)
{
	struct { unsigned version; int pid; } head = { 0x20080522, 0 };
	unsigned sets[6] = { 0 }, groups[3] = { 10, 20, 30 };
	int id[3];

	CALL(SYS_getuid);
	CALL(SYS_getgid);
	CALL(SYS_geteuid);
	CALL(SYS_getegid);
	CALL(SYS_getresuid, &id[0], &id[1], &id[2]);
	CALL(SYS_getresgid, &id[0], &id[1], &id[2]);
	CALL(SYS_getresuid, BAD, &id[1], &id[2]);
	CALL(SYS_setgroups, 3, groups);
	CALL(SYS_getgroups, 3, groups);
	CALL(SYS_getgroups, 0, NULL);
	CALL(SYS_getgroups, 1, groups);
	CALL(SYS_capget, &head, sets);
	CALL(SYS_capget, &head, NULL);
	head.pid = 999999;
	CALL(SYS_capget, &head, sets);
	head.pid = 0;
	sets[0] &= ~(1u << 12);
	CALL(SYS_capset, &head, sets);
	head.version = 5;
	CALL(SYS_capset, &head, sets);
	CALL(SYS_setfsuid, 1000);
	CALL(SYS_setfsuid, 0);
	CALL(SYS_setfsgid, 1000);
	CALL(SYS_setregid, -1, 5);
	CALL(SYS_setresgid, -1, 0, -1);
	CALL(SYS_setgid, 7);
	CALL(SYS_setreuid, -1, 1000);
	CALL(SYS_setreuid, -1, 0);
	CALL(SYS_setresuid, 1000, 1000, 0);
	CALL(SYS_setresuid, 5, 6, 7);
	CALL(SYS_setuid, 0);
	CALL(SYS_setuid, 1000);
	CALL(SYS_setuid, 0);
	CALL(SYS_setgroups, 3, groups);
	CALL(SYS_setgid, 0);
	CALL(SYS_personality, 0xffffffff);
	CALL(SYS_personality, 0x0040000);
	CALL(SYS_personality, 0);
	CALL(SYS_getcpu, &id[0], &id[1], NULL);
	CALL(SYS_uname, buffer);
	CALL(SYS_uname, BAD);
	CALL(SYS_sysinfo, buffer);
	CALL(SYS_sethostname, "other", 5);
	CALL(SYS_setdomainname, "other.name", 10);
	CALL(SYS_getrandom, buffer, 16, 1);
	CALL(SYS_getrandom, buffer, 16, 0x99);
}
