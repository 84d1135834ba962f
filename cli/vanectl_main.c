/* vanectl - the command line of Vane; see cli/README.md. */
#include <signal.h>

#include "base/fault.h"
#include "cli/command.h"

int main(int argc, char **argv)
{
        vn_fault_init();
        signal(SIGPIPE, SIG_IGN); /* `| head` ends us by a failed write, with a message */
        return (int)cli_main(argc, argv, stdout, stderr);
}
