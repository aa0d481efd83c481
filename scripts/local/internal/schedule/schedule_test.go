package schedule

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSchedulesAreDueWhenAWSWouldRunThem(t *testing.T) {
	t.Parallel()
	cyprus, err := time.LoadLocation("Asia/Nicosia")
	if err != nil {
		t.Fatal(err)
	}
	const after = "2026-11-24T12:34:56Z" // a Tuesday
	cases := map[string]struct {
		expression string
		zone       *time.Location
		want       []string
	}{
		"every minute":            {"rate(1 minute)", time.UTC, []string{"2026-11-24T12:35:56Z", "2026-11-24T12:36:56Z"}},
		"every five hours":        {"rate(5 hours)", time.UTC, []string{"2026-11-24T17:34:56Z"}},
		"every two days":          {"rate(2 days)", time.UTC, []string{"2026-11-26T12:34:56Z"}},
		"every quarter":           {"cron(0/15 * * * ? *)", time.UTC, []string{"2026-11-24T12:45:00Z", "2026-11-24T13:00:00Z"}},
		"at midnight":             {"cron(0 0 * * ? *)", time.UTC, []string{"2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"}},
		"at midnight in Cyprus":   {"cron(0 0 * * ? *)", cyprus, []string{"2026-11-24T22:00:00Z"}},
		"on the first of a month": {"cron(5 0 1 * ? *)", time.UTC, []string{"2026-12-01T00:05:00Z", "2027-01-01T00:05:00Z"}},
		"on the last of a month":  {"cron(0 1 L * ? *)", time.UTC, []string{"2026-11-30T01:00:00Z", "2026-12-31T01:00:00Z", "2027-01-31T01:00:00Z", "2027-02-28T01:00:00Z"}},
		"on working days":         {"cron(0 9 ? * MON-FRI *)", time.UTC, []string{"2026-11-25T09:00:00Z", "2026-11-26T09:00:00Z", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"}},
		"on Sundays by number":    {"cron(0 9 ? * 1 *)", time.UTC, []string{"2026-11-29T09:00:00Z"}},
		"on a leap day":           {"cron(0 0 29 FEB ? *)", time.UTC, []string{"2028-02-29T00:00:00Z"}},
		"in one year":             {"cron(0 0 1 1 ? 2027)", time.UTC, []string{"2027-01-01T00:00:00Z", ""}},
		"at some hours":           {"cron(0 8,20 * * ? *)", time.UTC, []string{"2026-11-24T20:00:00Z", "2026-11-25T08:00:00Z"}},
		"once":                    {"at(2026-11-24T13:00:00)", time.UTC, []string{"2026-11-24T13:00:00Z", ""}},
		"once, already over":      {"at(2026-11-24T12:00:00)", time.UTC, []string{""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := Parse(c.expression, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range c.want {
				at = e.Next(at)
				if at.IsZero() {
					got = append(got, "")
					break
				}
				got = append(got, at.UTC().Format(time.RFC3339))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("it is due at %v, want %v", got, c.want)
			}
		})
	}
}

func TestExpressionsThatAWSWouldRefuseAreRefused(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{"", "rate", "rate(5)", "rate(0 minutes)", "rate(5 weeks)", "cron(* * * * *)", "cron(* * * * * *)", "cron(0 0 ? * ? *)", "cron(99 0 * * ? *)", "cron(0 0 15W * ? *)", "every(1 day)", "at(tomorrow)"} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(expression, time.UTC); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func TestAScheduleInvokesItsFunctionUntilItIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var at []time.Duration
		var failures int
		s := &Schedule{Name: "S", Expression: rate(time.Minute), Input: `{"at":"<aws.scheduler.scheduled-time>"}`,
			Function: func(_ context.Context, event []byte) ([]byte, error) {
				at = append(at, time.Since(begun))
				if !strings.Contains(string(event), begun.Add(time.Since(begun)).UTC().Format(time.RFC3339)) {
					t.Errorf("the event is %s", event)
				}
				return nil, errors.New("failed")
			},
			Failed: func(error) { failures++ }}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		s.Run(ctx)
		if want := []time.Duration{time.Minute, 2 * time.Minute}; !slices.Equal(at, want) || failures != 2 {
			t.Errorf("it was invoked at %v and %d failures were told, want %v and 2", at, failures, want)
		}
	})
}

func TestWithoutInputTheSchedulersOwnEventIsHanded(t *testing.T) {
	t.Parallel()
	s := &Schedule{Name: "S", Region: "us-east-1", AccountID: "1"}
	event := string(s.event(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)))
	for _, part := range []string{`"detail-type":"Scheduled Event"`, `"source":"aws.scheduler"`, `"time":"2026-11-24T00:00:00Z"`, `"detail":"{}"`, `arn:aws:scheduler:us-east-1:1:schedule/default/S`} {
		if !strings.Contains(event, part) {
			t.Errorf("%s has no %s", event, part)
		}
	}
}
