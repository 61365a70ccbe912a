/* SPDX-License-Identifier: Apache-2.0
 *
 * commands.h - the subcommands of `rankzero`. Each gets its own name as argv[0] and returns the
 * command's exit status.
 */
#ifndef RZ_TOOLS_COMMANDS_H
#define RZ_TOOLS_COMMANDS_H

int rz_command_sample(int argc, char **argv);
int rz_command_bench(int argc, char **argv);
int rz_command_doctor(int argc, char **argv);
int rz_command_ring(int argc, char **argv);
int rz_command_top(int argc, char **argv);

#endif
