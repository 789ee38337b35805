/* Keys, BPF, seccomp, landlock, security modules, kernel modules and what ends the machine, refused. */
#include "conform.h"
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static void keys(void)
{
	int key = CALL(SYS_add_key, "user", "conform", "secret", 6, KEY_SPEC_PROCESS_KEYRING);

	CALL(SYS_add_key, "nonsense", "conform", "secret", 6, KEY_SPEC_SESSION_KEYRING);
	CALL(SYS_request_key, "user", "conform", NULL, 0);
	CALL(SYS_request_key, "user", "missing", NULL, KEY_SPEC_THREAD_KEYRING);
	CALL(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0);
	CALL(SYS_keyctl, KEYCTL_DESCRIBE, key, buffer, 100);
	CALL(SYS_keyctl, KEYCTL_READ, key, buffer, 100);
	CALL(SYS_keyctl, KEYCTL_UPDATE, key, "another", 7);
	CALL(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f3f0000);
	CALL(SYS_keyctl, KEYCTL_CHOWN, key, 0, -1);
	CALL(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_PROCESS_KEYRING, "user", "conform", 0);
	CALL(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, 60);
	CALL(SYS_keyctl, KEYCTL_LINK, key, KEY_SPEC_THREAD_KEYRING);
	CALL(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_THREAD_KEYRING);
	CALL(SYS_keyctl, KEYCTL_REVOKE, key);
	CALL(SYS_keyctl, KEYCTL_READ, key, buffer, 100);
	CALL(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "named");
	CALL(SYS_keyctl, 999, 1, 2, 3, 4);
}

static void programs(void)
{
	union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2 };
	struct bpf_insn code[2] = { { 0xb7, 0, 0, 0, 0 }, { 0x95, 0, 0, 0, 0 } };
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2, .insns = (uint64_t)code,
		.license = (uint64_t)"GPL" };
	union bpf_attr element = { 0 };
	uint32_t key = 1;
	uint64_t value = 7;
	int fd;

	memcpy(map.map_name, "conform", 8);
	fd = CALL(SYS_bpf, BPF_MAP_CREATE, &map, 72);
	element.map_fd = fd, element.key = (uint64_t)&key, element.value = (uint64_t)&value;
	CALL(SYS_bpf, BPF_MAP_UPDATE_ELEM, &element, 32);
	CALL(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &element, 32);
	element.map_fd = NOFD;
	CALL(SYS_bpf, BPF_MAP_DELETE_ELEM, &element, 32);
	CALL(SYS_bpf, BPF_PROG_LOAD, &load, 72);
	CALL(SYS_bpf, 999, &load, 16);
	CALL(SYS_bpf, BPF_MAP_CREATE, BAD, 16);
}

void security(void)
{
	struct sock_filter code[] = { { 6, 0, 0, 0x7fff0000 } };
	struct sock_fprog program = { 1, code };
	struct { uint64_t fs, net; } rules = { 0x1fff, 3 };
	struct __attribute__((packed)) { uint64_t access; int32_t fd; } beneath = { 12, 0 };
	unsigned action = 0x7fff0000, size = 1000;
	int ruleset, dir;

	keys();
	programs();
	CALL(SYS_landlock_create_ruleset, NULL, 0, 1);
	ruleset = CALL(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	CALL(SYS_landlock_create_ruleset, BAD, 16, 0);
	dir = CALL(SYS_open, "/tmp", O_PATH);
	beneath.fd = dir;
	CALL(SYS_landlock_add_rule, ruleset, 1, &beneath, 0);
	CALL(SYS_landlock_add_rule, NOFD, 1, &beneath, 0);
	CALL(SYS_landlock_restrict_self, NOFD, 0);
	CALL(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
	CALL(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, buffer);
	CALL(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL);
	CALL(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &program);
	CALL(SYS_prctl, PR_SET_SECCOMP, 2, &program);
	CALL(SYS_seccomp, 99, 0, NULL);
	CALL(SYS_prctl, PR_GET_SECCOMP);
	CALL(461 /* lsm_list_modules */, buffer, &size, 0);
	CALL(461, buffer, &size, 1);
	size = 1000;
	CALL(459 /* lsm_get_self_attr */, 100, buffer, &size, 0);
	CALL(460 /* lsm_set_self_attr */, 999, buffer, 32, 0);
	CALL(SYS_init_module, buffer, 16, "option=1");
	CALL(SYS_finit_module, NOFD, "option=2", 1);
	CALL(SYS_delete_module, "nonsense", O_NONBLOCK);
	CALL(SYS_create_module, "name", 5);
	CALL(SYS_query_module, "name", 1, buffer, 5, buffer);
	CALL(SYS_get_kernel_syms, buffer);
	CALL(SYS_nfsservctl, 1, buffer, buffer);
	CALL(SYS_reboot, 1, 2, 0x1234567);
	CALL(SYS_kexec_load, 0, 1, BAD, 0x3e0000);
	CALL(SYS_kexec_file_load, NOFD, NOFD, 5, "args", 0);
	CALL(SYS_syslog, 10, NULL, 0);
	CALL(SYS_syslog, 77, NULL, 0);
	CALL(SYS_perf_event_open, BAD, 0, -1, -1, 8);
	CALL(SYS_iopl, 9);
	CALL(SYS_ioperm, 0x100000, 1, 1);
	CALL(SYS__sysctl, BAD);
	CALL(SYS_vserver);
	CALL(SYS_security);
	CALL(SYS_tuxcall);
	CALL(SYS_afs_syscall);
	CALL(SYS_getpmsg);
	CALL(SYS_putpmsg);
}
