package main

import (
	"encoding/json"
	"net/http"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
)

const (
	// maxReplay is how many events one replay may have, replayPage how many are counted with a request.
	maxReplay  = 10_000
	replayPage = 1000
)

// TestWebhookEndpoint answers POST /v1/webhook-endpoints/{id}/test. The event is sent now and once, and is no event of the
// account's: it can't be replayed.
func (h *Handler) TestWebhookEndpoint(w http.ResponseWriter, r *http.Request) {
	if err := api.NoBody(r); err != nil {
		api.WriteError(w, r, err)
		return
	}
	e, err := h.own(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	d, err := h.test(r, e)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.WebhookDeliveryOf(d))
}

func (h *Handler) test(r *http.Request, e endpoint.Endpoint) (delivery.Delivery, error) {
	now := h.Now().UTC().Truncate(time.Millisecond)
	eventID, err := h.IDs.New(id.EventPrefix)
	if err != nil {
		return delivery.Delivery{}, err
	}
	body, err := json.Marshal(api.EventBody{Type: string(event.EndpointTest), Timestamp: api.At(now), AccountID: e.AccountID, Data: api.WebhookEndpointOf(e, now)})
	if err != nil {
		return delivery.Delivery{}, err
	}
	secrets, err := h.Endpoints.Secrets(e, now)
	if err != nil {
		return delivery.Delivery{}, err
	}
	answer := h.Sender.Send(r.Context(), e.URL, eventID, body, secrets...)
	d := delivery.Delivery{
		EndpointID: e.ID, Event: event.Event{ID: eventID, Type: event.EndpointTest, At: now, AccountID: e.AccountID, Resource: e.ID},
		Status: delivery.Failed, Attempts: 1, Code: answer.Code, Why: answer.Why, Took: answer.Took, FirstAt: now, LastAt: now,
	}
	if answer.OK() {
		d.Status = delivery.Delivered
	}
	return d, h.Deliveries.Save(r.Context(), d)
}

// ListWebhookDeliveries answers GET /v1/webhook-endpoints/{id}/deliveries.
func (h *Handler) ListWebhookDeliveries(w http.ResponseWriter, r *http.Request) {
	out, err := h.deliveries(r)
	if err != nil {
		api.WriteError(w, r, problemOf(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, out)
}

func (h *Handler) deliveries(r *http.Request) (api.WebhookDeliveryList, error) {
	out := api.WebhookDeliveryList{Items: []api.WebhookDelivery{}}
	page, err := api.ReadPage(r)
	if err != nil {
		return out, err
	}
	e, err := h.own(r)
	if err != nil {
		return out, err
	}
	list, next, err := h.Deliveries.List(r.Context(), e.ID, page)
	if err != nil {
		return out, err
	}
	for _, d := range list {
		out.Items = append(out.Items, api.WebhookDeliveryOf(d))
	}
	out.NextPageToken = next
	return out, nil
}

// ReplayWebhookEvents answers POST /v1/webhook-endpoints/{id}/replay.
func (h *Handler) ReplayWebhookEvents(w http.ResponseWriter, r *http.Request) {
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		n, err := h.replay(r)
		if err != nil {
			api.WriteError(w, r, problemOf(r, err))
			return
		}
		api.WriteJSON(w, http.StatusAccepted, api.WebhookReplay{Count: n})
	})(w, r)
}

func (h *Handler) replay(r *http.Request) (int, error) {
	e, err := h.own(r)
	if err != nil {
		return 0, err
	}
	var req api.ReplayWebhookEventsRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return 0, err
	}
	// Nobody can replay what did not happen yet; so the count is that of a range that no longer grows.
	from, to := req.From.Time, req.To.Time
	if now := h.Now(); to.After(now) {
		to = now
	}
	var errs api.FieldErrors
	if from.Before(h.Now().Add(-delivery.Retention)) {
		errs.Add("from", api.FieldInvalid, "must be at most 30 days ago: that is how long events are kept")
	}
	if !from.Before(to) {
		errs.Add("to", api.FieldInvalid, "must be after from")
	}
	if err := errs.Err(); err != nil {
		return 0, err
	}
	if e.Status != endpoint.Enabled {
		return 0, api.NewProblem(api.CodeConflict).WithDetail("The endpoint is disabled: enable it first.")
	}
	n, err := h.count(r, e, from, to)
	if err != nil || n == 0 {
		return 0, err
	}
	run, err := h.IDs.New("run_")
	if err != nil {
		return 0, err
	}
	return n, h.Replays.Ask(r.Context(), delivery.Replay{EndpointID: e.ID, AccountID: e.AccountID, Run: run, From: from, To: to})
}

// count counts the events that a replay has.
func (h *Handler) count(r *http.Request, e endpoint.Endpoint, from, to time.Time) (int, error) {
	n, after := 0, ""
	for {
		list, next, err := h.Deliveries.Events(r.Context(), e.AccountID, from, to, after, replayPage)
		if err != nil {
			return 0, err
		}
		for _, ev := range list {
			if e.Wants(ev.Type) {
				n++
			}
		}
		if n > maxReplay {
			var errs api.FieldErrors
			errs.Add("to", api.FieldInvalid, "the range holds more than 10000 events: ask for it in parts")
			return 0, errs.Err()
		}
		if after = next; after == "" {
			return n, nil
		}
	}
}
