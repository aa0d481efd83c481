// Package screen writes what the demo shows, line by line, and counts the promises.
package screen

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Screen writes what the demo shows, and counts the promises.
type Screen struct {
	Out io.Writer
	// Live: a line may be written over. Colour: escape sequences are understood.
	Live, Colour bool
	// Width is how many characters a line of the terminal has; nil: enough.
	Width func() int

	Passed, Failed int
	// open is how many lines at the end will be written over.
	open int
}

// Styles of what is painted, as terminals number them.
const (
	Bold  = "1"
	Green = "32"
	Red   = "31"
	Faint = "2"
)

// Paint gives a text in a style, where there are colours.
func (s *Screen) Paint(style, text string) string {
	if !s.Colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// Line writes a line.
func (s *Screen) Line(text string) {
	s.Clear()
	fmt.Fprintln(s.Out, text)
}

// Title writes what the next lines are about.
func (s *Screen) Title(text string) { s.Line("\n" + s.Paint(Bold, text)) }

// Note writes what is good to know.
func (s *Screen) Note(text string) { s.Line("  " + s.Paint(Faint, text)) }

// Prompt writes what the person can do now.
func (s *Screen) Prompt(text string) { s.Line(s.Paint(Bold, text)) }

// hop is one step of a message's way, with the time since it began.
func (s *Screen) Hop(elapsed time.Duration, what string) { s.Line(hopLine(elapsed, what)) }

func hopLine(elapsed time.Duration, what string) string {
	return fmt.Sprintf("  %9s  %s", Milliseconds(elapsed), what)
}

// check shows whether a promise holds, and by what that is known.
func (s *Screen) Check(ok bool, promise, found string) {
	mark := s.Paint(Green, "✓")
	if ok {
		s.Passed++
	} else {
		s.Failed++
		mark = s.Paint(Red, "✗ BROKEN:")
	}
	s.Line("  " + mark + " " + promise + s.Paint(Faint, " ("+found+")"))
}

// Summary writes how many promises were kept and broken.
func (s *Screen) Summary() {
	style := Green
	if s.Failed > 0 {
		style = Red
	}
	s.Line("\n" + s.Paint(style, fmt.Sprintf("%d passed, %d failed", s.Passed, s.Failed)))
}

// Transient writes a line that the next one takes the place of. Where lines can't be written over, it writes nothing.
func (s *Screen) Transient(text string) { s.Picture(text) }

// Picture writes lines that the next ones take the place of, each cut to the width of the terminal. Where lines can't be written over,
// it writes nothing.
func (s *Screen) Picture(lines ...string) {
	if !s.Live || len(lines) == 0 {
		return
	}
	cut := make([]string, len(lines))
	for i, l := range lines {
		cut[i] = s.cut(l)
	}
	fmt.Fprint(s.Out, s.clearing()+strings.Join(cut, "\n")) // in one piece, so that nothing flickers
	s.open = len(lines)
}

// Clear takes away what will be written over.
func (s *Screen) Clear() {
	if s.open > 0 {
		fmt.Fprint(s.Out, s.clearing())
	}
	s.open = 0
}

func (s *Screen) clearing() string {
	if s.open == 0 {
		return ""
	}
	return "\r\x1b[K" + strings.Repeat("\x1b[1A\x1b[K", s.open-1)
}

// cut shortens a line to what fits the terminal. Escape sequences take no room, and all of them stay.
func (s *Screen) cut(line string) string {
	if s.Width == nil {
		return line
	}
	var out strings.Builder
	room, escape := s.Width(), false
	for _, r := range line {
		switch {
		case r == '\x1b' || escape:
			escape = r != 'm'
		case room <= 0:
			continue
		default:
			room--
		}
		out.WriteRune(r)
	}
	return out.String()
}

// Milliseconds is a duration as people read it: whole milliseconds, seconds from ten on.
func Milliseconds(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return Grouped(d.Round(time.Millisecond).Milliseconds()) + " ms"
}

// Grouped writes a whole number with a comma between thousands.
func Grouped(n int64) string {
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

// Way is the whole way of a message in one line.
func Way(hops []string) string { return strings.Join(hops, " → ") }
