package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Cluster is a Postgres server with its own data. Its methods may be called by many goroutines, Kill and Restart by one.
type Cluster struct {
	dir  string // of mode 0711, holds data, the socket and the log
	bin  string
	user *syscall.SysProcAttr // who Postgres runs as
	// guard holds the write end of a pipe whose other end a small shell reads: it sees this process end, however it does, and
	// then stops the server and removes the files.
	guard io.Closer

	server    *exec.Cmd // nil while killed
	databases atomic.Int64
	ready     sync.Once
	readyErr  error
}

// Start makes a cluster for this test alone, and stops it when the test ends.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c, err := start((*Cluster).init)
	if err != nil {
		giveUp(t, err)
	}
	c.endWith(t)
	return c
}

func (c *Cluster) endWith(t testing.TB) {
	t.Cleanup(func() {
		if c.running() {
			c.Kill()
		}
		c.guard.Close()
	})
}

// start makes a directory, and in it what fill makes, which is a server that runs.
func start(fill func(*Cluster) error) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin}
	if c.user, err = unprivileged(); err != nil {
		return nil, err
	}
	if err := c.makeDirectory(); err != nil {
		return nil, err
	}
	if err := c.watch(); err != nil {
		return nil, err
	}
	if err := fill(c); err != nil {
		return nil, errors.Join(err, c.guard.Close())
	}
	return c, nil
}

// makeDirectory makes one that Postgres' own user can reach: those of testing.T lie below one of mode 0700. A socket's path
// may have 107 bytes, so a long TMPDIR is passed over.
func (c *Cluster) makeDirectory() error {
	parent := os.TempDir()
	if len(parent) > 50 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "understudy-pg-")
	if err != nil {
		return err
	}
	c.dir = dir
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	if cred := c.user.Credential; cred != nil {
		return os.Chown(dir, int(cred.Uid), int(cred.Gid))
	}
	return nil
}

// farewell waits for the end of its input, then stops the server and removes the files. QUIT is Postgres' immediate shutdown.
const farewell = `cat >/dev/null
pid=$(head -n 1 data/postmaster.pid 2>/dev/null) && kill -QUIT "$pid"
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
cd / && rm -rf "$1"`

func (c *Cluster) watch() (err error) {
	cmd := c.command("/bin/sh", "-c", farewell, "sh", c.dir)
	if c.guard, err = cmd.StdinPipe(); err != nil {
		return err
	}
	return cmd.Start()
}

// command is one that runs as Postgres' user, in the cluster's directory, and not in our process group: an interrupt at the
// terminal is for us, and the guard follows.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.SysProcAttr = c.dir, c.user
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	return cmd
}

func (c *Cluster) init() error {
	// Local connections are trusted: only this user and root reach the socket. Without a sync of its own, since nothing is lost
	// if the machine dies now.
	out, err := c.command(filepath.Join(c.bin, "initdb"), "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, out)
	}
	if err := c.launch(); err != nil {
		return err
	}
	return c.run(context.Background(), "postgres", `CREATE ROLE owner LOGIN; CREATE ROLE application LOGIN; CREATE ROLE auditor LOGIN`)
}

// launch starts the server and waits until it answers. Beside the places it has the settings of production.
func (c *Cluster) launch() error {
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	deadline := time.Now().Add(patience)
	for {
		cmd := c.command(filepath.Join(c.bin, "postgres"), "-D", "data", "-k", c.dir, "-c", "listen_addresses=",
			"-c", "unix_socket_permissions=0700", "-c", "max_connections=200")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("starting Postgres: %w", err)
		}
		c.server = cmd
		if err = c.await(deadline); err == nil {
			return nil
		}
		c.Kill()
		// After a kill the last of the old server's processes may still hold its shared memory: the new one then ends at once.
		if time.Now().After(deadline) {
			tail, _ := os.ReadFile(log.Name())
			return fmt.Errorf("starting Postgres: %w\n%s", err, tail)
		}
	}
}

// await waits until the server answers; an error once it has ended or deadline has passed.
func (c *Cluster) await(deadline time.Time) error {
	for {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		err := c.run(ctx, "postgres", `SELECT 1`)
		cancel()
		if err == nil || time.Now().After(deadline) || !c.running() {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Socket is the path of the Unix socket that the server listens on: who connects there needs no password.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }

// running tells whether the server's first process is there and no zombie.
func (c *Cluster) running() bool {
	if c.server == nil {
		return false
	}
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(c.server.Process.Pid, &status, syscall.WNOHANG, nil)
	return err == nil && pid == 0
}

// Kill kills the server as kill -9 does: nothing is flushed, nobody is told. Its backends go with it: left alone, each would answer
// until it notices.
func (c *Cluster) Kill() {
	if c.server == nil {
		return
	}
	backends := children(c.server.Process.Pid)
	_ = c.server.Process.Kill() // it may have ended
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = c.server.Wait() // says that it was killed
	c.server = nil
}

// children are the processes that pid started; none where the kernel does not tell.
func children(pid int) (out []int) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for _, field := range strings.Fields(string(list)) {
		if child, err := strconv.Atoi(field); err == nil {
			out = append(out, child)
		}
	}
	return out
}

// Restart starts a killed server again, and waits until it has recovered.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	if err := c.launch(); err != nil {
		t.Fatal(err)
	}
}
