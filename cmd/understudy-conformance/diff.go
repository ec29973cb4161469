package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/conformance"
)

func (a *app) diffCmd() *cobra.Command {
	return &cobra.Command{
		Use: "diff OLD.json NEW.json", Short: "Say what changed between two reports; exit 1 when something newly fails", Args: cobra.ExactArgs(2),
		Long: "Say what changed between two reports that run --format json has written. A case of the new report that fails, and was not in the old, newly fails too.",
		RunE: a.does(func(_ context.Context, args []string) error {
			before, err := readReport(args[0])
			if err != nil {
				return err
			}
			after, err := readReport(args[1])
			if err != nil {
				return err
			}
			if before.Issuer != after.Issuer {
				fmt.Fprintf(a.stdout, "two servers: %s, then %s\n", before.Issuer, after.Issuer)
			}
			d := conformance.Compare(before, after)
			if len(d.NewlyFailing) > 0 {
				a.code = found
			}
			return d.WriteText(a.stdout)
		}),
	}
}

func readReport(name string) (*conformance.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := conformance.ReadReport(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}
