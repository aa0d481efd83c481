//go:build unix && !linux

package runtime

import (
	"os/exec"
	"syscall"
)

// ownGroup gives a process a group of its own, so that a Ctrl-C in the terminal reaches us alone and we can end all
// that it started. When we are gone unexpectedly, its Runtime API is gone too, and the Lambda library ends it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
