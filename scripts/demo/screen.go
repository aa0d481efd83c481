package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// screen writes what the demo shows, and counts the promises.
type screen struct {
	out io.Writer
	// live: a line may be written over. colour: escape sequences are understood.
	live, colour bool

	passed, failed int
	// open: the last line is a transient one.
	open bool
}

const (
	bold  = "1"
	green = "32"
	red   = "31"
	faint = "2"
)

func (s *screen) paint(style, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *screen) line(text string) {
	s.clear()
	fmt.Fprintln(s.out, text)
}

func (s *screen) title(text string) { s.line("\n" + s.paint(bold, text)) }

func (s *screen) note(text string) { s.line("  " + s.paint(faint, text)) }

func (s *screen) prompt(text string) { s.line(s.paint(bold, text)) }

// hop is one step of a message's way, with the time since it began.
func (s *screen) hop(elapsed time.Duration, what string) { s.line(hopLine(elapsed, what)) }

func hopLine(elapsed time.Duration, what string) string {
	return fmt.Sprintf("  %9s  %s", milliseconds(elapsed), what)
}

// check shows whether a promise holds, and by what that is known.
func (s *screen) check(ok bool, promise, found string) {
	mark := s.paint(green, "✓")
	if ok {
		s.passed++
	} else {
		s.failed++
		mark = s.paint(red, "✗ BROKEN:")
	}
	s.line("  " + mark + " " + promise + s.paint(faint, " ("+found+")"))
}

func (s *screen) summary() {
	style := green
	if s.failed > 0 {
		style = red
	}
	s.line("\n" + s.paint(style, fmt.Sprintf("%d passed, %d failed", s.passed, s.failed)))
}

// transient writes a line that the next one takes the place of. Where lines can't be written over, it writes nothing.
func (s *screen) transient(text string) {
	if !s.live {
		return
	}
	fmt.Fprint(s.out, "\r\x1b[K"+text)
	s.open = true
}

func (s *screen) clear() {
	if s.open {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.open = false
	}
}

// milliseconds is a duration as people read it: whole milliseconds, seconds from ten on.
func milliseconds(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return grouped(d.Round(time.Millisecond).Milliseconds()) + " ms"
}

// grouped writes a whole number with a comma between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, parts...), ",")
}

// way is the whole way of a message in one line.
func way(hops []string) string { return strings.Join(hops, " → ") }
