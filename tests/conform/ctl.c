// SPDX-License-Identifier: BSD-2-Clause
/* ctl.c - see ctl.h. */
#include "ctl.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/daemon.h"

uid_t ctl_uid;

pid_t ctl_spawn(const char *socket, const char *const *args, int out, int err)
{
	const char *argv[16] = {t_environment("VMBCTL")};
	int n = 1, program;
	pid_t pid;

	while (*args)
		argv[n++] = *args++;
	if (socket) {
		argv[n++] = "--socket";
		argv[n++] = socket;
	}
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	/* that user may not reach the folder where it was built */
	program = open(argv[0], O_RDONLY | O_CLOEXEC);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (ctl_uid && (setgid(ctl_uid) || setuid(ctl_uid)))
		_exit(126);
	fexecve(program, (char *const *)argv, environ);
	_exit(127);
}

void ctl_take_output(FILE *f, char *text, size_t size)
{
	size_t n;

	rewind(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
}

int ctl_exit_code(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "vmbctl: status %#x", status);
	return WEXITSTATUS(status);
}

void ctl_run(const char *socket, struct ctl_result *r, const char *const *args)
{
	FILE *out = tmpfile(), *err = tmpfile();
	pid_t pid = ctl_spawn(socket, args, fileno(out), fileno(err));

	r->status = ctl_exit_code(pid);
	ctl_take_output(out, r->out, sizeof(r->out));
	ctl_take_output(err, r->err, sizeof(r->err));
}

void ctl_assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "\"%s\" is not in:\n%s", part, text);
}

json_t *ctl_parse(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	ck_assert_msg(json != NULL, "not JSON:\n%s", text);
	return json;
}

json_int_t ctl_integer(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	ck_assert_msg(json_is_integer(value), "%s is no integer", key);
	return json_integer_value(value);
}

const char *ctl_string(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	ck_assert_msg(json_is_string(value), "%s is no string", key);
	return json_string_value(value);
}
