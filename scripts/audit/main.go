// Command audit verifies a chain of audit events offline, from nothing but the events as the API listed them: those of one account, to
// the operator or to the account itself, or those of the operator's own affairs.
//
//	audit < pages.json                         answers of the list, one after the other, in any order
//	audit -to 812 -head 5f1d… < pages.json     and the chain still goes through this event, which somebody wrote down before
//	audit -after 812 -hash 5f1d… < pages.json  only the events that follow this one
//
// It prints what it found, and fails if anything is broken.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"contactcenter/shared/audit/chain"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
}

var errBroken = errors.New("the chain is broken")

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("audit", flag.ContinueOnError)
	var after, known chain.Link
	flags.Int64Var(&known.Sequence, "to", 0, "sequence of an event that the chain must have")
	flags.StringVar(&known.Hash, "head", "", "its hash")
	flags.Int64Var(&after.Sequence, "after", 0, "sequence of the event that the first one follows; without it, all events are there")
	flags.StringVar(&after.Hash, "hash", "", "its hash")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if (known.Sequence == 0) != (known.Hash == "") || (after.Sequence == 0) != (after.Hash == "") {
		return errors.New("-to and -head belong together, and so do -after and -hash")
	}
	records, err := read(in)
	if err != nil {
		return err
	}
	report := chain.Verify(records, after, known)
	fmt.Fprintf(out, "%d events in order", report.Events)
	if report.Events > 0 {
		fmt.Fprintf(out, ", %d to %d, head %s", report.From, report.To, report.HeadHash)
	}
	if report.Unchained > 0 {
		fmt.Fprintf(out, "; %d are older than the chain", report.Unchained)
	}
	fmt.Fprintln(out)
	if b := report.FirstBroken; b != nil {
		fmt.Fprintf(out, "then event %d (%s) is %s\n", b.Sequence, b.ID, b.Why)
		return errBroken
	}
	return nil
}

// read takes the events out of pages, one JSON value after the other.
func read(in io.Reader) ([]chain.Record, error) {
	var records []chain.Record
	for d := json.NewDecoder(in); ; {
		var page struct {
			Items []chain.Record `json:"items"`
		}
		switch err := d.Decode(&page); {
		case errors.Is(err, io.EOF):
			return records, nil
		case err != nil:
			return nil, fmt.Errorf("read a page of events: %w", err)
		}
		records = append(records, page.Items...)
	}
}
