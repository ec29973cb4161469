package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// secretFlags are the ways in which a secret comes in. Never as the value of a flag: a process list shows those.
type secretFlags struct {
	what  string
	file  string
	stdin bool
}

func (s *secretFlags) register(cmd *cobra.Command, what string) {
	s.what = what
	cmd.Flags().StringVar(&s.file, what+"-file", "", "read the "+what+" from the first line of this `file`")
	cmd.Flags().BoolVar(&s.stdin, what+"-stdin", false, "read the "+what+" from the first line of the standard input")
	cmd.MarkFlagsMutuallyExclusive(what+"-file", what+"-stdin")
}

// given reports whether a flag names a source.
func (s *secretFlags) given() bool { return s.file != "" || s.stdin }

// read reads the secret from where the flags say.
func (s *secretFlags) read(ctx context.Context, stdin io.Reader) (string, error) {
	if s.stdin {
		return firstLine(ctx, stdin, s.what)
	}
	f, err := os.Open(s.file)
	if err != nil {
		return "", fmt.Errorf("reading the %s: %w", s.what, err)
	}
	defer f.Close()
	return firstLine(ctx, f, s.what)
}

// firstLine reads a line without its end, at most 4 KiB: nothing that we take is longer.
func firstLine(ctx context.Context, r io.Reader, what string) (string, error) {
	line, err := readLine(ctx, bufio.NewReader(io.LimitReader(r, 4096)))
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the %s: %w", what, err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", withHint(fmt.Errorf("reading the %s: it is empty", what), "nothing was changed: the "+what+" is the first line")
	}
	return line, nil
}

// readLine reads a line with its end. It gives up when ctx ends, and then leaves a read behind that may never return: no
// terminal and no pipe can be made to stop reading, so whoever calls it ends too.
func readLine(ctx context.Context, in *bufio.Reader) (string, error) {
	type answer struct {
		line string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		line, err := in.ReadString('\n')
		done <- answer{line, err}
	}()
	select {
	case a := <-done:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// prompt asks twice at a terminal, without showing what is typed.
func (a *app) prompt(ctx context.Context, what string) (string, error) {
	if !isTerminal(a.stdin) {
		return "", withHint(fmt.Errorf("no %s was given", what), fmt.Sprintf("--%s-stdin or --%s-file; without either it is asked for at a terminal", what, what))
	}
	restore, err := hideTyping(a.stdin)
	if err != nil {
		return "", fmt.Errorf("hiding what is typed: %w", err)
	}
	defer restore()
	in := bufio.NewReader(a.stdin)
	first, err := a.ask(ctx, in, "New "+what+": ")
	if err != nil {
		return "", err
	}
	again, err := a.ask(ctx, in, "Once more: ")
	if err == nil && first != again {
		err = withHint(fmt.Errorf("the two %ss are not the same", what), "nothing was changed: try again")
	}
	return first, err
}

func (a *app) ask(ctx context.Context, in *bufio.Reader, question string) (string, error) {
	fmt.Fprint(a.stderr, question)
	line, err := readLine(ctx, in)
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
