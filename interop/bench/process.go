//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpu returns the processor time that all processes of the server have used, in their own code
// and in the kernel. It is what getrusage says, of other processes and in nanoseconds.
func (s *server) cpu() (time.Duration, error) {
	pids, err := members(s.pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		// See CPUCLOCK_SCHED in the kernel's include/linux/posix-timers.h.
		clock := int32(^pid<<3 | 2)
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

const (
	quietFor  = 20 * time.Millisecond
	quietTime = time.Millisecond // of a server at work on nothing
	quietWait = 2 * time.Second
)

// quiet waits until the server has nothing to do, but not for long, and returns its processor
// time.
func (s *server) quiet() (time.Duration, error) {
	last, err := s.cpu()
	for deadline := time.Now().Add(quietWait); err == nil && time.Now().Before(deadline); {
		time.Sleep(quietFor)
		before := last
		if last, err = s.cpu(); last-before < quietTime {
			break
		}
	}
	return last, err
}

// resident returns the octets of memory that the server has, of its own and in the page cache
// mapped.
func (s *server) resident() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm of process %d: %q", s.pid, b)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// members returns the processes of a group.
func members(group int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT GROUP, and the name may have any character.
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(fields) < 3 || string(fields[2]) != strconv.Itoa(group) || string(fields[0]) == "Z" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		return nil, fmt.Errorf("the server, process %d, has ended", group)
	}
	return pids, nil
}
