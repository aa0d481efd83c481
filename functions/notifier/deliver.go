package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/api"
	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
)

const (
	// minQuiet and maxQuiet bound for how long an endpoint that does not answer is left alone at a time.
	minQuiet = 5 * time.Second
	maxQuiet = 10 * time.Minute
	// maxPark bounds for how long a delivery to such an endpoint is parked at a time.
	maxPark = time.Hour
	// placeFor is for how long a place at an endpoint is taken at most: longer than an invocation may last.
	placeFor = 45 * time.Second
	// maxBody is how large a body is sent with the message's content, in bytes: Standard Webhooks asks for less than 20 kB.
	maxBody = 20_000
)

// task is a delivery's job, and where it is noted that it has to come again.
type task struct {
	delivery.Job
	failed *error
}

// deliveries works on jobs of one endpoint.
func (n *Notifier) deliveries(ctx context.Context, list []task) {
	if err := n.together(ctx, list); err != nil {
		for _, j := range list {
			*j.failed = err
		}
	}
}

// together works on jobs of one endpoint side by side. One that is not known to be quick needs a place for that, so that waiting for
// its answers does not take up what the endpoints of all accounts have together.
func (n *Notifier) together(ctx context.Context, list []task) error {
	ep, err := n.Endpoints.Get(ctx, list[0].Event.AccountID, list[0].EndpointID)
	if errors.Is(err, endpoint.ErrNotFound) {
		return nil // deleted: nothing is sent there, and nobody can look
	}
	if err != nil {
		return err
	}
	if ep.Status != endpoint.Enabled || !ep.QuietUntil.IsZero() || ep.Quick(n.Now()) { // to one that does not answer goes one at a time
		n.sideBySide(ctx, ep, list)
		return nil
	}
	place, free, err := n.Endpoints.Enter(ctx, ep, n.Now().Add(placeFor))
	if err != nil {
		return err
	}
	if !free {
		return n.back(ctx, list)
	}
	quick := n.sideBySide(ctx, ep, list)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), margin)
	defer cancel()
	if err := n.Endpoints.Leave(ctx, ep, place, quick); err != nil {
		n.Log.WarnContext(ctx, "place of an endpoint not given back", "endpoint_id", ep.ID, "error", err.Error()) // it is free at its time
	}
	return nil
}

// back puts jobs of a busy endpoint back into the queue, for longer each time; together, so that they need one place when they come
// again.
func (n *Notifier) back(ctx context.Context, list []task) error {
	jobs, random := make([]delivery.Job, len(list)), n.Random()
	var wait time.Duration
	for i, j := range list {
		again, longer := j.Back(random)
		jobs[i], wait = again, max(wait, longer)
	}
	return n.Queue.Send(ctx, wait, jobs...)
}

// sideBySide delivers, and reports whether the endpoint answered quickly whatever it was sent. What came twice at once is delivered once, and
// both come again where that failed.
func (n *Notifier) sideBySide(ctx context.Context, ep endpoint.Endpoint, list []task) (quick bool) {
	answers := make([]delivery.Answer, len(list))
	type same struct{ event, run string }
	first := map[same]task{}
	var group errgroup.Group
	for i, j := range list {
		key := same{j.Event.ID, j.Run}
		if earlier, twice := first[key]; twice {
			defer func() { *j.failed = *earlier.failed }()
			continue
		}
		first[key] = j
		group.Go(func() error {
			answers[i], *j.failed = n.deliver(ctx, ep, j.Job)
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	for _, a := range answers {
		if a == (delivery.Answer{}) {
			continue // it was not sent
		}
		if a.Code == 0 || a.Took >= endpoint.QuickWithin {
			return false
		}
		quick = true
	}
	return quick
}

// deliver tries one delivery, once, and sees to it that it is tried again where that can help. It gives the endpoint's answer; none
// where nothing was sent.
func (n *Notifier) deliver(ctx context.Context, ep endpoint.Endpoint, j delivery.Job) (answer delivery.Answer, err error) {
	d, err := n.Kept.Get(ctx, j.EndpointID, j.Event.ID)
	if err != nil {
		return answer, err
	}
	switch {
	case d.Run == j.Run && d.Status != delivery.Pending && d.Status != "":
		return answer, nil // it came twice
	case j.Run == "" && d.Run != "":
		return answer, nil // a replay has taken it over
	case d.Run == j.Run && d.Status == delivery.Pending && d.Due.Sub(n.Now()) > time.Second:
		return answer, nil // it came twice, and is tried again then
	case d.Run != j.Run || d.Status == "":
		d = delivery.Delivery{EndpointID: ep.ID, Event: j.Event, Run: j.Run}
	}
	if ep.Status != endpoint.Enabled {
		return answer, n.done(ctx, d, delivery.Dropped)
	}
	if until, free, err := n.free(ctx, ep); err != nil || !free {
		if err != nil {
			return answer, err
		}
		return answer, n.later(ctx, d, until)
	}
	return n.attempt(ctx, ep, d)
}

// free reports whether an endpoint may be called now. One that did not answer is left alone for a while, then one delivery tries;
// the others wait for longer the longer that lasts, and until says for how long.
func (n *Notifier) free(ctx context.Context, ep endpoint.Endpoint) (until time.Time, free bool, err error) {
	if ep.QuietUntil.IsZero() {
		return until, true, nil
	}
	now := n.Now()
	if !ep.QuietUntil.After(now) {
		// Nobody else tries until this try has had its time.
		if free, err = n.Endpoints.Try(ctx, ep, now.Add(delivery.Timeout+minQuiet)); err != nil || free {
			return until, free, err
		}
	}
	wait := min(max(now.Sub(ep.FailingSince)/4, minQuiet), maxPark)
	wait = max(wait, ep.QuietUntil.Sub(now))
	return now.Add(wait + time.Duration(n.Random()%uint64(wait))), false, nil
}

// attempt sends it, and notes what came of it on the delivery and on the endpoint.
func (n *Notifier) attempt(ctx context.Context, ep endpoint.Endpoint, d delivery.Delivery) (answer delivery.Answer, err error) {
	body, err := n.body(ctx, d)
	if errors.Is(err, errGone) {
		return answer, n.done(ctx, d, delivery.Dropped)
	}
	if err != nil {
		return answer, err
	}
	now := n.Now().UTC().Truncate(time.Millisecond)
	secrets, err := n.Endpoints.Secrets(ep, now)
	if err != nil {
		return answer, err
	}
	answer = n.send(ctx, ep, d.Event.ID, body, secrets)
	d.Attempts, d.Code, d.Why, d.Took, d.LastAt = d.Attempts+1, answer.Code, answer.Why, answer.Took, now
	if d.FirstAt.IsZero() {
		d.FirstAt = now
	}
	n.Log.InfoContext(ctx, "event sent", "account_id", ep.AccountID, "endpoint_id", ep.ID, "event_id", d.Event.ID, "type", string(d.Event.Type), "attempt", d.Attempts, "status", answer.Code, "failure", answer.Why, "ms", answer.Took.Milliseconds())
	// What the endpoint answered is kept, also when the invocation's time is nearly over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), margin)
	defer cancel()
	if !answer.OK() {
		return answer, n.failed(ctx, ep, d, answer)
	}
	if !ep.FailingSince.IsZero() {
		if _, err := n.Endpoints.Recover(ctx, ep); err != nil && !errors.Is(err, endpoint.ErrNotFound) {
			return answer, err
		}
	}
	return answer, n.done(ctx, d, delivery.Delivered)
}

// send sends to an endpoint. That it is not quick any more is noted while it is waited for, before many more wait as well; that it
// still is, now and then.
func (n *Notifier) send(ctx context.Context, ep endpoint.Endpoint, eventID string, body []byte, secrets []string) delivery.Answer {
	if !ep.Quick(n.Now()) {
		return n.Sender.Send(ctx, ep.URL, eventID, body, secrets...)
	}
	note := func(quick bool) {
		if err := n.Endpoints.Quick(context.WithoutCancel(ctx), ep, quick); err != nil {
			n.Log.WarnContext(ctx, "pace of an endpoint not noted", "endpoint_id", ep.ID, "error", err.Error())
		}
	}
	noted := make(chan struct{})
	slow := time.AfterFunc(endpoint.QuickWithin, func() {
		defer close(noted)
		note(false)
	})
	answer := n.Sender.Send(ctx, ep.URL, eventID, body, secrets...)
	switch {
	case !slow.Stop():
		<-noted
	case answer.OK() && n.Now().Sub(ep.QuickAt) > endpoint.QuickFor/2:
		note(true)
	}
	return answer
}

// failed notes a failed attempt, and when the next is.
func (n *Notifier) failed(ctx context.Context, ep endpoint.Endpoint, d delivery.Delivery, answer delivery.Answer) error {
	if answer.Code == http.StatusGone {
		if err := n.stop(ctx, ep, endpoint.Gone); err != nil {
			return err
		}
		return n.done(ctx, d, delivery.Failed)
	}
	now, quiet := n.Now(), time.Time{}
	if answer.Quiet() {
		wait := minQuiet
		if !ep.FailingSince.IsZero() {
			wait = min(max(now.Sub(ep.FailingSince)/2, minQuiet), maxQuiet)
		}
		quiet = now.Add(max(wait, answer.RetryAfter))
	}
	ep, err := n.Endpoints.Fail(ctx, ep, quiet)
	if err != nil && !errors.Is(err, endpoint.ErrNotFound) {
		return err
	}
	if err == nil && now.Sub(ep.FailingSince) >= endpoint.FailingFor {
		if err := n.stop(ctx, ep, endpoint.Failing); err != nil {
			return err
		}
	}
	at, again := d.Again(answer.RetryAfter, n.Random())
	if !again {
		return n.done(ctx, d, delivery.Failed)
	}
	return n.later(ctx, d, at)
}

// stop disables an endpoint, and gives notice of that to the account's others.
func (n *Notifier) stop(ctx context.Context, ep endpoint.Endpoint, why string) error {
	off, err := n.Endpoints.Stop(ctx, ep, why)
	if errors.Is(err, endpoint.ErrNotFound) {
		return nil // somebody else disabled it, or a user changed it meanwhile
	}
	if err != nil {
		return err
	}
	n.Log.WarnContext(ctx, "webhook endpoint disabled", "account_id", ep.AccountID, "endpoint_id", ep.ID, "reason", why)
	if err := n.Events.Publish(ctx, event.New(event.EndpointDisabled, off.AccountID, off.ID, off.DisabledAt, "")); err != nil {
		n.Log.ErrorContext(ctx, "nobody is told of a disabled endpoint", "account_id", ep.AccountID, "endpoint_id", ep.ID, "error", err.Error())
	}
	return nil
}

func (n *Notifier) done(ctx context.Context, d delivery.Delivery, s delivery.Status) error {
	d.Status, d.Due, d.Parked = s, time.Time{}, false
	return n.Kept.Save(ctx, d)
}

// later keeps a delivery for another time: in the queue when that is near, else in the table.
func (n *Notifier) later(ctx context.Context, d delivery.Delivery, at time.Time) error {
	d.Status, d.Due = delivery.Pending, at
	wait := at.Sub(n.Now())
	d.Parked = wait > delivery.FromHere
	if err := n.Kept.Save(ctx, d); err != nil || d.Parked {
		return err
	}
	return n.Queue.Send(ctx, max(wait, time.Second), delivery.Job{EndpointID: d.EndpointID, Event: d.Event, Run: d.Run})
}

// body shows what the event is about, as it is now.
func (n *Notifier) body(ctx context.Context, d delivery.Delivery) ([]byte, error) {
	data, err := n.Resources.Show(ctx, d.Event)
	if err != nil {
		return nil, err
	}
	out := api.EventBody{Type: string(d.Event.Type), Timestamp: api.At(d.Event.At), AccountID: d.Event.AccountID, Data: data}
	body, err := json.Marshal(out)
	if m, ok := data.(api.Message); ok && len(body) > maxBody {
		m.Content = nil // its hash stays, and a GET has it
		out.Data = m
		body, err = json.Marshal(out)
	}
	return body, err
}
