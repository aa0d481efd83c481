package main

import (
	"io"
	"testing"
	"time"
)

func TestTimesAreComparedByTheirMedians(t *testing.T) {
	t.Parallel()
	var idle, busy []single
	for i := range 20 {
		idle = append(idle, single{handedOver: time.Duration(20-i) * time.Millisecond})
		busy = append(busy, single{handedOver: time.Duration(i+1) * 3 * time.Millisecond})
	}
	got := compare(idle, busy, func(s single) time.Duration { return s.handedOver })
	want := comparison{Idle: distribution{20, 10, 19}, Busy: distribution{20, 30, 57}, Ratio: 3}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := compare(nil, busy[:1], func(s single) time.Duration { return s.handedOver }); got.Ratio != 0 || got.Busy != (distribution{1, 3, 3}) {
		t.Errorf("without any alone: %+v", got)
	}
}

func TestNeighboursAreMeasuredWhereTheyAreNamed(t *testing.T) {
	t.Parallel()
	if o, err := parse(nil, io.Discard); err != nil || len(o.neighbours) != 0 || len(o.scenarios) == 0 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse([]string{"-scenario", "neighbour,neighbour_in_line", "-backlog", "500"}, io.Discard); err != nil || len(o.neighbours) != 2 || len(o.scenarios) != 0 || o.backlog != 500 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := parse([]string{"-backlog", "20001"}, io.Discard); err == nil {
		t.Error("a backlog that takes too long is no error")
	}
}
