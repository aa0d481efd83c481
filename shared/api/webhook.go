package api

import (
	"time"

	"contactcenter/shared/delivery"
	"contactcenter/shared/endpoint"
)

// WebhookEndpointOf shows a webhook endpoint as it stands at a moment, without its secret.
func WebhookEndpointOf(e endpoint.Endpoint, now time.Time) WebhookEndpoint {
	out := WebhookEndpoint{
		ID: e.ID, URL: e.URL, Description: e.Description, EventTypes: e.Types.Names(), Status: WebhookEndpointStatus(e.Status), DisabledReason: e.Why,
		DisabledAt: OptionalTime(e.DisabledAt), FailingSince: OptionalTime(e.FailingSince), CreatedAt: OptionalTime(e.CreatedAt), CreatedBy: e.CreatedBy,
	}
	if now.Before(e.OldUntil) {
		out.PreviousSecretValidUntil = OptionalTime(e.OldUntil)
	}
	return out
}

// WebhookEndpointWithSecret is a webhook endpoint whose secret was just made.
type WebhookEndpointWithSecret struct {
	WebhookEndpoint
	Secret string `json:"secret"`
}

// WebhookDeliveryOf shows a delivery.
func WebhookDeliveryOf(d delivery.Delivery) WebhookDelivery {
	out := WebhookDelivery{
		EventID: d.Event.ID, EventType: string(d.Event.Type), ResourceID: d.Event.Resource, EventAt: OptionalTime(d.Event.At), Status: string(d.Status), Attempts: d.Attempts, ResponseStatus: d.Code, Failure: d.Why,
		FirstAttemptAt: OptionalTime(d.FirstAt), LastAttemptAt: OptionalTime(d.LastAt),
	}
	if d.Attempts > 0 {
		ms := d.Took.Milliseconds()
		out.DurationMs = &ms
	}
	if d.Status == delivery.Pending {
		out.NextAttemptAt = OptionalTime(d.Due)
	}
	return out
}

// EventBody is what is sent to a webhook endpoint.
type EventBody struct {
	Type      string `json:"type"`
	Timestamp Time   `json:"timestamp"`
	AccountID string `json:"account_id"`
	// Data is what the event is about, as its GET shows it.
	Data any `json:"data"`
}
