// Package health knows how well Communication Providers work at present: what share of calls fails and how long they take,
// of each provider and of each channel, and when one of them is better left alone. All dispatchers share what they see;
// see [decision 21] in docs/decisions for the rules and what they cost.
package health

import (
	"time"

	"contactcenter/shared/provider"
)

// State is how a provider or a channel works at present.
type State string

// The states.
const (
	Operational State = "operational"
	// Degraded: a part of the calls fails, or they take long. They are made all the same.
	Degraded State = "degraded"
	// Outage: nothing is handed over but a call now and then that tries.
	Outage State = "outage"
)

// Subject is whose health it is: a provider's as a whole, or a channel's.
type Subject struct {
	Kind, ID string
}

// The kinds of subject.
const (
	KindProvider = "provider"
	KindChannel  = "channel"
)

// OfProvider is a provider as a whole.
func OfProvider(providerID string) Subject { return Subject{KindProvider, providerID} }

// OfChannel is one channel.
func OfChannel(channelID string) Subject { return Subject{KindChannel, channelID} }

// Outcome is what a call says of a provider's health.
type Outcome int

const (
	// Unjudged: it says nothing; the failure is ours.
	Unjudged Outcome = iota
	// Answered: the provider did its work, whatever its answer.
	Answered
	// Failed by the provider's fault.
	Failed
	// Throttled: the provider works, and asks for a slower pace.
	Throttled
)

// Outcomes says what an error of an adapter (nil: none) says of the provider and of the channel. Credentials that are refused are
// the channel's affair: the provider has answered.
func Outcomes(f *provider.Error) (ofProvider, ofChannel Outcome) {
	switch {
	case f == nil || f.Kind == provider.Permanent:
		return Answered, Answered
	case f.Kind == provider.Credentials:
		return Answered, Failed
	case f.Throttled, f.Fault == provider.FaultCustomer, f.Fault == provider.FaultRecipient:
		return Throttled, Throttled // what may pass with time is a quota of the customer's, or the recipient's phone
	case f.Fault == provider.FaultPlatform:
		return Unjudged, Unjudged
	}
	return Failed, Failed
}

const (
	// SlotLength is the time that one item of figures covers.
	SlotLength = 5 * time.Second
	// Window is what is looked at: twelve of them.
	Window = 12 * SlotLength

	// outageCalls and outageShare make an outage: at least so many failures, which are at least this share of the calls.
	outageCalls = 5
	outageShare = 0.8
	// degradedCalls and degradedShare make a provider degraded, as does a p95 of slowCall over slowCalls calls.
	degradedCalls = 3
	degradedShare = 0.1
	slowCalls     = 10
	slowCall      = 3 * time.Second
	// Calm is how long nothing may have been wrong before a degraded one is operational again.
	Calm = 15 * time.Second
	// Idle is after which time without a call an outage is no longer shown: nobody knows any more.
	Idle = 5 * time.Minute
)

// cells is how many groups a provider's channels are counted in. One channel that fails must not stand for all.
const cells = 16

// bounds are the upper ends of the buckets of latency; the last bucket is open.
func bounds() [buckets - 1]time.Duration {
	const ms = time.Millisecond
	return [...]time.Duration{10 * ms, 15 * ms, 25 * ms, 40 * ms, 60 * ms, 100 * ms, 150 * ms, 250 * ms, 400 * ms, 600 * ms, 1000 * ms, 1500 * ms, 2500 * ms, 4000 * ms, 6000 * ms}
}

const buckets = 16

// Tally counts calls.
type Tally struct {
	// Calls are those that count, of them Failed by the provider's fault. Throttled ones are in neither.
	Calls, Failed, Throttled int64
	// Latency counts calls by how long they took.
	Latency [buckets]int64
	// Groups counts calls by channel, the channels in groups.
	Groups [cells]Group
}

// Group is a part of a provider's channels.
type Group struct{ Calls, Failed int64 }

// count adds one call.
func (t *Tally) count(o Outcome, took time.Duration, channelID string) {
	switch o {
	case Unjudged:
		return
	case Throttled:
		t.Throttled++
		return
	case Failed:
		t.Failed++
		t.Groups[group(channelID)].Failed++
	}
	t.Calls++
	t.Groups[group(channelID)].Calls++
	i := 0
	for ends := bounds(); i < len(ends) && took > ends[i]; {
		i++
	}
	t.Latency[i]++
}

// group gives a channel's group (FNV-1a).
func group(channelID string) int {
	h := uint32(2166136261)
	for _, b := range []byte(channelID) {
		h = (h ^ uint32(b)) * 16777619
	}
	return int(h % cells)
}

// add adds what another tally counted.
func (t *Tally) add(o Tally) {
	t.Calls, t.Failed, t.Throttled = t.Calls+o.Calls, t.Failed+o.Failed, t.Throttled+o.Throttled
	for i := range o.Latency {
		t.Latency[i] += o.Latency[i]
	}
	for i, g := range o.Groups {
		t.Groups[i].Calls, t.Groups[i].Failed = t.Groups[i].Calls+g.Calls, t.Groups[i].Failed+g.Failed
	}
}

// ErrorRate is the share of calls that failed, 0 when there was none.
func (t Tally) ErrorRate() float64 {
	if t.Calls == 0 {
		return 0
	}
	return float64(t.Failed) / float64(t.Calls)
}

// Quantile gives the latency below which a share q of the calls lies, as precise as the buckets are; 0 when there was none.
// What took longer than the longest bound is given as that.
func (t Tally) Quantile(q float64) time.Duration {
	var total int64
	for _, n := range t.Latency {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank, seen, from := q*float64(total), 0.0, time.Duration(0)
	for i, end := range bounds() {
		n := float64(t.Latency[i])
		if n > 0 && seen+n >= rank {
			return from + time.Duration((rank-seen)/n*float64(end-from))
		}
		seen, from = seen+n, end
	}
	return from
}

// out reports whether the calls say that nothing gets through. All is the same and more, for which channels there are: in the last seconds
// not all of them may have been used.
func (t Tally) out(s Subject, all Tally) bool {
	return t.Failed >= outageCalls && failing(t.Calls, t.Failed) && (s.Kind != KindProvider || t.widespread(all))
}

func failing(calls, failed int64) bool {
	return failed > 0 && float64(failed) >= outageShare*float64(calls)
}

// widespread reports whether it fails for half of the channels at least, and for two, unless there is only one.
func (t Tally) widespread(all Tally) bool {
	active, out := 0, 0
	for i, g := range t.Groups {
		if all.Groups[i].Calls > 0 {
			active++
		}
		if failing(g.Calls, g.Failed) {
			out++
		}
	}
	return 2*out >= active && (out >= 2 || active == 1)
}

// poor reports whether the calls say that a part of them fails, or that they take long.
func (t Tally) poor() bool {
	return t.Failed >= degradedCalls && t.ErrorRate() >= degradedShare || t.Calls >= slowCalls && t.Quantile(0.95) >= slowCall
}
