package telemetrytest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestManyWriteWhileOneWaits(t *testing.T) {
	t.Parallel()
	var log Log
	var writers sync.WaitGroup
	for i := range 20 {
		writers.Go(func() { fmt.Fprintf(&log, "line %d\n", i) })
	}
	log.Await(t, 20, "line ")
	log.Await(t, 1, "line 7\n")
	writers.Wait()
	if s := log.String(); strings.Count(s, "\n") != 20 || s != string(log.Bytes()) {
		t.Errorf("the log is %q", s)
	}
}
