package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of times in /proc: USER_HZ, which Linux fixes at 100 towards programs.
const tick = 10 * time.Millisecond

// cpu is how much processor time each side has taken so far, and everybody on this machine together.
type cpu struct{ server, database, generator, machine time.Duration }

func (c cpu) minus(d cpu) cpu {
	return cpu{c.server - d.server, c.database - d.database, c.generator - d.generator, c.machine - d.machine}
}

func (c cpu) plus(d cpu) cpu {
	return cpu{c.server + d.server, c.database + d.database, c.generator + d.generator, c.machine + d.machine}
}

// others is what none of ours took.
func (c cpu) others() time.Duration { return c.machine - c.server - c.database - c.generator }

// processes are who takes part. Zero is nobody: SQLite lives in the server, and a server may live in this process.
type processes struct{ server, database int }

func (p processes) cpu() (c cpu, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return c, err
	}
	c.generator = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if p.server != 0 {
		if c.server, err = cpuOf(p.server); err != nil {
			return c, err
		}
	}
	if p.database != 0 {
		if c.database, err = cpuOfTree(p.database); err != nil {
			return c, err
		}
	}
	c.machine, err = busy()
	return c, err
}

// busy is how long the cores of this machine were not idle. What its host gave to another machine counts too.
func busy() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var user, nice, system, idle, wait, irq, softirq, steal int64
	_, err = fmt.Sscanf(string(stat), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal)
	return time.Duration(user+nice+system+irq+softirq+steal) * tick, err
}

// cpuOf is the processor time of a process and of those children that it has waited for (proc(5)).
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name before the parenthesis may hold anything. utime, stime, cutime and cstime are fields 14 to 17, state is 3.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var sum int64
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// cpuOfTree is that of a process and its children, dead or alive. Postgres has no grandchildren.
func cpuOfTree(pid int) (time.Duration, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	sum, err := cpuOf(pid)
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(children)) {
		id, _ := strconv.Atoi(child) // the kernel writes numbers
		d, err := cpuOf(id)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // one that has just ended
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// memory is what a process holds, in MB of a million bytes.
type memory struct {
	RSS  float64 `json:"rss_mb"`
	Peak float64 `json:"peak_mb"`
}

func memoryOf(pid int) (m memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			m.RSS = kib * 1024 / 1e6
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
			m.Peak = kib * 1024 / 1e6
		}
	}
	return m, nil
}
