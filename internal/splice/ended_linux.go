package splice

import (
	"syscall"
	"unsafe"
)

// pollRdHup is POLLRDHUP: https://man7.org/linux/man-pages/man2/poll.2.html
const pollRdHup = 0x2000

// hasEnded reports whether the client sends no more than what waits. Its end is no event of its own
// if it comes with that.
func hasEnded(fd int) bool {
	p := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd), events: pollRdHup}
	var atOnce syscall.Timespec
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1,
			uintptr(unsafe.Pointer(&atOnce)), 0, 0, 0)
		if errno != syscall.EINTR {
			return errno == 0 && p.revents != 0
		}
	}
}
