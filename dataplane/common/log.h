/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log.h - one line a message to stderr, with the program's name and a level; and
 * telling the service manager (systemd's sd_notify protocol).  Any thread; each
 * line is one write(2). Never called on the packet path. */
#ifndef POLLUX_LOG_H
#define POLLUX_LOG_H

/* log_open - set the name that begins every line ("pollux-control"). */
void log_open(const char *program);

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* log_ready - print the line "ready" to stdout and tell the service manager
 * READY=1.  Once. */
void log_ready(void);

/* log_stopping - tell the service manager STOPPING=1. */
void log_stopping(void);

#endif
