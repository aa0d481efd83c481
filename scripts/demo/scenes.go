package main

import (
	"context"
	"time"

	"contactcenter/scripts/demo/internal/screen"
	"contactcenter/scripts/demo/internal/stack"
)

// demo plays scenes on a stack and shows them on a screen.
type demo struct {
	stack  *stack.Stack
	screen *screen.Screen
}

// scene is one thing that is shown. Its error is a promise that could not even be looked at.
type scene struct {
	key   byte
	title string
	// limit is the longest that it may take.
	limit time.Duration
	play  func(context.Context, *demo) error
}

func scenes() []scene {
	return []scene{
		{'m', "A recipient writes, an agent answers", 3 * time.Minute, playMessage},
		{'k', "The dispatcher dies in the middle of a send", 6 * time.Minute, playKill},
		{'l', "500 messages at a limit of 100", 5 * time.Minute, playLimit},
		{'d', "The provider is disabled while messages wait", 5 * time.Minute, playDisable},
		{'b', "The account is blocked while messages wait", 5 * time.Minute, playBlock},
		{'o', "The operator tries to activate a customer's channel", 3 * time.Minute, playOperator},
	}
}

// run plays one scene. What goes wrong in it is a failure like any other; only an interrupt is an error.
func (d *demo) run(ctx context.Context, s scene) error {
	d.screen.Title(s.title)
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	err := s.play(limited, d)
	d.screen.Clear()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		d.screen.Check(false, "the scene is played to its end", err.Error())
	}
	return nil
}

func (d *demo) playAll(ctx context.Context) error {
	for _, s := range scenes() {
		if err := d.run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
