package availability

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider/health"
)

// A beat is one small write, and a gap two more.
func TestWhatABeatCosts(t *testing.T) {
	t.Parallel()
	env, counter := awstest.NewLocal(t), &awsclient.Counter{} // of a refused write every engine reports something else
	cfg := env.Config()
	counter.Attach(&cfg)
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = &env.DynamoDBURL })
	table := env.Table(t.Context(), awstest.UsageTable())
	beats, states := &Beats{DB: db, Table: table}, &health.Store{DB: db, Table: table}
	now, edna := at("2026-11-24 10:00"), health.OfProvider("edna")
	for _, c := range []struct {
		name string
		do   func() error
		want awsclient.Usage
	}{
		{"the first beat", func() error { return beats.Good(t.Context(), now, time.Minute) }, awsclient.Usage{Requests: 1, WriteUnits: 1}},
		{"a beat", func() error { return beats.Good(t.Context(), now.Add(time.Minute), time.Minute) }, awsclient.Usage{Requests: 1, WriteUnits: 1}},
		{"a run that finds something failing", func() error { return beats.Failed(t.Context(), now.Add(2*time.Minute)) }, awsclient.Usage{Requests: 1, WriteUnits: 1}},
		{"the beat after it", func() error { return beats.Good(t.Context(), now.Add(3*time.Minute), time.Minute) }, awsclient.Usage{Requests: 3, WriteUnits: 3}},
		{"a change of a provider", func() error { return states.Note(t.Context(), edna, health.Change{State: health.Outage, At: now}) }, awsclient.Usage{Requests: 1, WriteUnits: 1}},
		{"the sweep's look at it", func() error { _, err := states.LastChange(t.Context(), edna, now.Add(time.Hour), false); return err }, awsclient.Usage{Requests: 1, ReadUnits: 0.5}},
	} {
		counter.Reset()
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if got := counter.Report().Total; got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
