package runtime

import (
	"os/exec"
	"syscall"
)

// ownGroup gives a process a group of its own, so that a Ctrl-C in the terminal reaches us alone and we can end all
// that it started. The kernel ends it when we are gone, however that came.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
