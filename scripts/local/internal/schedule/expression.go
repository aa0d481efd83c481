// Package schedule knows EventBridge Scheduler: when a schedule is due and what its function is handed. It knows
// nothing of the function.
package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Expression tells when a schedule is due.
type Expression interface {
	// Next is the first time due after a time; the zero time when there is none any more.
	Next(after time.Time) time.Time
}

// Parse reads rate(…), cron(…) or at(…). The time zone is for the latter two.
func Parse(expression string, zone *time.Location) (Expression, error) {
	kind, rest, ok := strings.Cut(strings.TrimSpace(expression), "(")
	inner, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return nil, fmt.Errorf("schedule expression %q is not rate(…), cron(…) or at(…)", expression)
	}
	var e Expression
	var err error
	switch kind {
	case "rate":
		e, err = parseRate(inner)
	case "cron":
		e, err = parseCron(inner, zone)
	case "at":
		var at time.Time
		at, err = time.ParseInLocation("2006-01-02T15:04:05", inner, zone)
		e = once(at)
	default:
		err = errors.New("not rate(…), cron(…) or at(…)")
	}
	if err != nil {
		return nil, fmt.Errorf("schedule expression %q: %w", expression, err)
	}
	return e, nil
}

type rate time.Duration

func (r rate) Next(after time.Time) time.Time { return after.Add(time.Duration(r)) }

func parseRate(s string) (Expression, error) {
	value, unit, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return nil, errors.New("the value is not a positive number")
	}
	switch strings.TrimSuffix(strings.TrimSpace(unit), "s") {
	case "minute":
		return rate(time.Duration(n) * time.Minute), nil
	case "hour":
		return rate(time.Duration(n) * time.Hour), nil
	case "day":
		return rate(time.Duration(n) * 24 * time.Hour), nil
	}
	return nil, fmt.Errorf("the unit %q is not minutes, hours or days", unit)
}

type once time.Time

func (o once) Next(after time.Time) time.Time {
	if time.Time(o).After(after) {
		return time.Time(o)
	}
	return time.Time{}
}

// cron has the six fields of AWS: minutes, hours, day of month, month, day of week (1 is Sunday), year.
type cron struct {
	zone                         *time.Location
	minutes, hours, months, year []int
	days, weekdays               []int // nil: "?", any
	lastDay                      bool
}

var (
	monthNames   = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	weekdayNames = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

func parseCron(s string, zone *time.Location) (Expression, error) {
	fields := strings.Fields(s)
	if len(fields) != 6 {
		return nil, fmt.Errorf("%d fields where six are expected", len(fields))
	}
	if (fields[2] == "?") == (fields[4] == "?") {
		return nil, errors.New("exactly one of day of month and day of week has to be ?")
	}
	c := cron{zone: zone, lastDay: fields[2] == "L"}
	var problems []error
	set := func(field, name string, low, high int, names []string) []int {
		values, err := parseField(field, low, high, names)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
		return values
	}
	c.minutes = set(fields[0], "minutes", 0, 59, nil)
	c.hours = set(fields[1], "hours", 0, 23, nil)
	if !c.lastDay {
		c.days = set(fields[2], "day of month", 1, 31, nil)
	}
	c.months = set(fields[3], "month", 1, 12, monthNames)
	c.weekdays = set(fields[4], "day of week", 1, 7, weekdayNames)
	c.year = set(fields[5], "year", 1970, 2199, nil)
	return c, errors.Join(problems...)
}

func parseField(field string, low, high int, names []string) ([]int, error) {
	if field == "?" {
		return nil, nil
	}
	number := func(s string) (int, error) {
		if i := slices.Index(names, strings.ToUpper(s)); i >= 0 {
			return low + i, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%q is not known here, or not from %d to %d", s, low, high)
		}
		return n, nil
	}
	var out []int
	for part := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step, from, to := 1, low, high
		var err error
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
				return nil, fmt.Errorf("%q is not a step", stepText)
			}
		}
		if span != "*" {
			first, last, ranged := strings.Cut(span, "-")
			if from, err = number(first); err != nil {
				return nil, err
			}
			switch {
			case ranged:
				if to, err = number(last); err != nil {
					return nil, err
				}
			case !stepped:
				to = from
			}
		}
		for n := from; n <= to; n += step {
			out = append(out, n)
		}
	}
	return out, nil
}

// Next looks day by day, then within the day; a rule that can't be met in eight years never is.
func (c cron) Next(after time.Time) time.Time {
	from := after.In(c.zone).Truncate(time.Minute).Add(time.Minute)
	for day := range 8 * 366 {
		date := time.Date(from.Year(), from.Month(), from.Day()+day, 0, 0, 0, 0, c.zone)
		if !c.due(date) {
			continue
		}
		for _, hour := range c.hours {
			for _, minute := range c.minutes {
				at := time.Date(date.Year(), date.Month(), date.Day(), hour, minute, 0, 0, c.zone)
				if at.After(after) {
					return at
				}
			}
		}
	}
	return time.Time{}
}

func (c cron) due(date time.Time) bool {
	switch {
	case !slices.Contains(c.year, date.Year()), !slices.Contains(c.months, int(date.Month())):
		return false
	case c.lastDay:
		return date.AddDate(0, 0, 1).Day() == 1
	case c.days != nil:
		return slices.Contains(c.days, date.Day())
	default:
		return slices.Contains(c.weekdays, int(date.Weekday())+1)
	}
}
