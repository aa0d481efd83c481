package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

const (
	ctrlC = 3
	ctrlD = 4
)

// byKeys plays the message, then what the keys ask for, until q.
func (d *demo) byKeys(ctx context.Context, stdin *os.File) error {
	all := scenes()
	next := all[0]
	for {
		if err := d.run(ctx, next); err != nil {
			return err
		}
		for {
			d.screen.Prompt("\n  k kills the dispatcher   l floods a limit   d disables the provider   b blocks the account   o is the operator   m is the message again   q ends")
			key, err := readKey(ctx, stdin)
			if err != nil {
				return err
			}
			if key == 'q' || key == ctrlC || key == ctrlD {
				return nil
			}
			if s, ok := sceneOf(all, key); ok {
				next = s
				break
			}
		}
	}
}

func sceneOf(all []scene, key byte) (scene, bool) {
	for _, s := range all {
		if s.key == key {
			return s, true
		}
	}
	return scene{}, false
}

// readKey waits for one key with the terminal in raw mode, and gives the terminal back as it was, whatever happens.
// Raw mode lasts no longer than this, so that Ctrl-C interrupts a scene as it does everywhere.
func readKey(ctx context.Context, stdin *os.File) (byte, error) {
	before, err := term.MakeRaw(int(stdin.Fd()))
	if err != nil {
		return 0, fmt.Errorf("read keys: %w", err)
	}
	defer func() { _ = term.Restore(int(stdin.Fd()), before) }() // it was that terminal's own state
	type pressed struct {
		key byte
		err error
	}
	got := make(chan pressed, 1)
	// A read can't be called off: when the context ends first, this ends with the program, at once.
	go func() {
		var b [1]byte
		_, err := io.ReadFull(stdin, b[:])
		got <- pressed{b[0], err}
	}()
	select {
	case p := <-got:
		if p.err != nil {
			return 0, fmt.Errorf("read keys: %w", p.err)
		}
		return p.key, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
