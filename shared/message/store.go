package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
)

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
}

// Store keeps messages and conversations in one table. Every method is one request to DynamoDB unless it says so.
type Store struct {
	DB    DynamoDB
	Table string
	// Retention is how long a message is kept after its creation.
	Retention time.Duration
	// Sealer seals addresses and content. Only Create and Receive need it.
	Sealer Sealer
	// Opener opens them, for Get, Open and all that lists messages with their content. Nil in functions that must not.
	Opener Opener
	// Audit writes what a person changes. Only Assign needs it.
	Audit Auditor
}

// Create records a new message. Creating the same message again changes nothing, so a retry is safe. Long content
// is written first, in a request of its own.
func (s *Store) Create(ctx context.Context, m Message) error {
	state, long, err := encode(m, s.Retention, s.Sealer)
	if err != nil {
		return err
	}
	for _, it := range []item{long, state} {
		if it == nil {
			continue
		}
		_, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &s.Table, Item: it,
			ConditionExpression:      aws.String("attribute_not_exists(#pk)"),
			ExpressionAttributeNames: map[string]string{"#pk": attrPK},
		})
		if refused := new(types.ConditionalCheckFailedException); err != nil && !errors.As(err, &refused) {
			return fmt.Errorf("create message: %w", err)
		}
	}
	return nil
}

// Get reads one message with its content: one request, or two when the content is long. It returns ErrNotFound.
func (s *Store) Get(ctx context.Context, accountID string, mid id.Message) (Message, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(accountID, mid, statePrefix), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return Message{}, fmt.Errorf("get message: %w", err)
	}
	if len(out.Item) == 0 {
		return Message{}, ErrNotFound
	}
	m, err := decode(out.Item)
	if err != nil {
		return Message{}, err
	}
	return m, s.Open(ctx, &m)
}

// States reads the states of messages of an account, still sealed: one request for each 100. Missing ones are left out. The
// read is eventually consistent, which is enough for what never changes back: that a message is final.
func (s *Store) States(ctx context.Context, accountID string, ids []id.Message) (map[id.Message]Message, error) {
	return s.states(ctx, accountID, ids, types.KeysAndAttributes{})
}

// standing lists the attributes that Standings reads.
var standing = [...]string{
	attrPK, attrSK, attrDirection, attrChannel, attrProvider, attrOutcome, attrReport, attrClaim, attrFence, attrHeld, attrHeldLease, attrHeldBy, attrRelease, attrOnLimit, attrExpires,
}

// Standings reads where messages of an account stand, without their content and addresses, strongly consistent: so a message
// that is left out was not there. One request for each 100.
func (s *Store) Standings(ctx context.Context, accountID string, ids []id.Message) (map[id.Message]Message, error) {
	names, list := projection(standing[:]...)
	return s.states(ctx, accountID, ids, types.KeysAndAttributes{ConsistentRead: aws.Bool(true), ProjectionExpression: &list, ExpressionAttributeNames: names})
}

func (s *Store) states(ctx context.Context, accountID string, ids []id.Message, ask types.KeysAndAttributes) (map[id.Message]Message, error) {
	found := make(map[id.Message]Message, len(ids))
	asked := make(map[id.Message]bool, len(ids))
	for _, mid := range ids {
		if !asked[mid] { // DynamoDB refuses a key that is given twice
			asked[mid] = true
			ask.Keys = append(ask.Keys, key(accountID, mid, statePrefix))
		}
	}
	items, err := awsclient.BatchGet(ctx, s.DB, s.Table, ask)
	if err != nil {
		return nil, fmt.Errorf("get states: %w", err)
	}
	for _, it := range items {
		m, err := decode(it)
		if err != nil {
			return nil, err
		}
		found[m.ID] = m
	}
	return found, nil
}

// Tail is what a dispatcher must know of a conversation before it hands a message over.
type Tail struct {
	Message Message
	// Previous is the newest earlier message of the conversation that was handed over or waits for it; nil: there is
	// none.
	Previous *Message
	// Active is when the conversation was last listed as active before this message, as far as the query saw.
	Active time.Time
}

const (
	tailPage  = 4
	tailPages = 25
)

// Tail reads a message, still sealed, and the end of its conversation before it, in one strongly consistent query. A conversation
// in which the recipient wrote several times in a row takes further pages of it. It returns ErrNotFound when the
// message is not there.
//
// Looking at one earlier outbound message is enough: it was itself only handed over when the one before it was. One
// that came to its end without being handed over waited for nobody, so it is looked past, and so is one whose time has not
// come at now.
func (s *Store) Tail(ctx context.Context, accountID string, mid id.Message, now time.Time) (Tail, error) {
	var (
		tail  Tail
		found bool
		start item
	)
	for range tailPages {
		out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: &s.Table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(tailPage), ExclusiveStartKey: start,
			KeyConditionExpression:   aws.String("#pk = :pk AND #sk BETWEEN :first AND :this"),
			ExpressionAttributeNames: map[string]string{"#pk": attrPK, "#sk": attrSK},
			ExpressionAttributeValues: item{
				":pk": str(partition(accountID, mid.Conversation)), ":first": str(statePrefix), ":this": str(statePrefix + mid.Unique),
			},
		})
		if err != nil {
			return Tail{}, fmt.Errorf("query conversation: %w", err)
		}
		for _, it := range out.Items {
			m, err := decode(it)
			if err != nil {
				return Tail{}, err
			}
			if m.ID == mid {
				tail.Message, found = m, true
				continue
			}
			if tail.Active.IsZero() && m.listed() {
				tail.Active = m.CreatedAt()
			}
			if m.Direction == Outbound && !m.passedBy() && !m.Scheduled(now) {
				tail.Previous = &m
				break
			}
		}
		if !found {
			return Tail{}, ErrNotFound
		}
		if tail.Previous != nil || len(out.LastEvaluatedKey) == 0 {
			break
		}
		start = out.LastEvaluatedKey
	}
	return tail, nil
}

// passedBy reports whether the message came to its end without an attempt to hand it over, so that it says nothing
// about the messages before it.
func (m Message) passedBy() bool {
	switch m.Outcome {
	case Canceled, Rejected, Expired:
		return true
	case Failed:
		return m.Attempts == 0
	}
	return false
}

// Written is the answer to a conditional write: whether it was applied, and the message as it is now.
type Written struct {
	Applied bool
	Message Message
}

// update applies one conditional write to a message's state. A refusal is no error: it brings the message along. What it
// brought into an erased message is taken out again.
func (s *Store) update(ctx context.Context, accountID string, mid id.Message, w *write) (Written, error) {
	written, err := s.write(ctx, accountID, mid, w)
	if err != nil || !written.Applied {
		return written, err
	}
	return written, s.scrub(ctx, written.Message)
}

func (s *Store) write(ctx context.Context, accountID string, mid id.Message, w *write) (Written, error) {
	in := &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: key(accountID, mid, statePrefix),
		UpdateExpression: aws.String(w.expression()), ConditionExpression: aws.String(strings.Join(w.conditions, " AND ")),
		ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values,
		ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	out, err := s.DB.UpdateItem(ctx, in)
	refused := new(types.ConditionalCheckFailedException)
	switch {
	case errors.As(err, &refused):
		if len(refused.Item) == 0 {
			return Written{}, ErrNotFound
		}
		m, err := decode(refused.Item)
		return Written{Message: m}, err
	case err != nil:
		return Written{}, fmt.Errorf("update message: %w", err)
	}
	m, err := decode(out.Attributes)
	return Written{Applied: true, Message: m}, err
}

// write collects one update expression.
type write struct {
	sets, removes, conditions []string
	names                     map[string]string
	values                    item
}

func newWrite() *write {
	return &write{names: map[string]string{"#pk": attrPK}, values: item{}, conditions: []string{"attribute_exists(#pk)"}}
}

func (w *write) name(attr string) string {
	w.names["#"+attr] = attr
	return "#" + attr
}

func (w *write) value(name string, v types.AttributeValue) string {
	w.values[":"+name] = v
	return ":" + name
}

func (w *write) set(attr string, v types.AttributeValue) {
	w.sets = append(w.sets, w.name(attr)+" = "+w.value(attr, v))
}

func (w *write) remove(attrs ...string) {
	for _, a := range attrs {
		w.removes = append(w.removes, w.name(a))
	}
}

// count adds one.
func (w *write) count(attr string) {
	w.sets = append(w.sets, fmt.Sprintf("%s = if_not_exists(%s, %s) + %s", w.name(attr), w.name(attr), w.value("zero", num(0)), w.value(attr, num(1))))
}

func (w *write) step(st Step) {
	w.sets = append(w.sets, fmt.Sprintf("%s = list_append(if_not_exists(%s, %s), %s)", w.name(attrSteps), w.name(attrSteps),
		w.value("none", &types.AttributeValueMemberL{}), w.value("step", steps(st))))
}

func (w *write) problem(attr string, p *Problem) error {
	if p == nil {
		return nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode problem: %w", err)
	}
	w.set(attr, str(string(b)))
	return nil
}

// outcome adds the condition that the outcome is one of these.
func (w *write) outcome(values ...Status) {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = w.value(string("is"+v), str(string(v)))
	}
	w.conditions = append(w.conditions, fmt.Sprintf("%s IN (%s)", w.name(attrOutcome), strings.Join(list, ", ")))
}

// waiting adds the condition that the message is still to be handed over, that no later holder has fenced it off,
// and that the provider has not reported having it. A fence of an earlier lease stays behind when its holder set the
// message aside; it does not bind a later one.
func (w *write) waiting(lease int64) {
	w.outcome(Queued, Held)
	w.conditions = append(w.conditions,
		fmt.Sprintf("(attribute_not_exists(%s) OR %s <= %s)", w.name(attrFence), w.name(attrFence), w.value("lease", num(lease))),
		fmt.Sprintf("attribute_not_exists(%s)", w.name(attrReport)))
}

func (w *write) expression() string {
	var parts []string
	if len(w.sets) > 0 {
		parts = append(parts, "SET "+strings.Join(w.sets, ", "))
	}
	if len(w.removes) > 0 {
		parts = append(parts, "REMOVE "+strings.Join(w.removes, ", "))
	}
	return strings.Join(parts, " ")
}

// Fence marks a message as taken over under a lease, so that an earlier holder that still runs can no longer end it
// badly. It is refused when a later lease has fenced the message, or when it is final.
func (s *Store) Fence(ctx context.Context, accountID string, mid id.Message, lease int64) (Written, error) {
	w := newWrite()
	w.set(attrFence, num(lease))
	w.outcome(Queued, Held)
	w.conditions = append(w.conditions, fmt.Sprintf("(attribute_not_exists(%s) OR %s <= %s)", w.name(attrFence), w.name(attrFence), w.value(attrFence, num(lease))))
	return s.update(ctx, accountID, mid, w)
}

// Handover is a provider's acceptance of a message.
type Handover struct {
	ProviderMessageID string
	At                time.Time
	// Attempt says that a call was made just now; false when the acceptance was learnt otherwise.
	Attempt bool
	// ProviderVersion is the version of the provider's entry that the call was made under; 0: not known.
	ProviderVersion int64
}

// Sent records that the provider took the message, under the claim that counts it. Any holder may say so, also one
// that was overtaken: what a provider took is a fact. It is refused when that is recorded already, or when the
// message was canceled or rejected.
func (s *Store) Sent(ctx context.Context, accountID string, mid id.Message, claim int64, h Handover) (Written, error) {
	w := newWrite()
	w.set(attrOutcome, str(string(Sent)))
	w.set(attrClaim, num(claim))
	w.set(attrTransfer, num(h.At.UnixMilli()))
	if h.Attempt {
		w.count(attrAttempts)
	}
	if h.ProviderVersion != 0 {
		w.set(attrRegistry, num(h.ProviderVersion))
	}
	if h.ProviderMessageID != "" {
		w.set(attrProviderID, str(h.ProviderMessageID))
	}
	w.step(Step{Status: Sent, At: h.At})
	w.remove(attrHeldKey, attrHeldSort, attrHeld, attrHeldLease, attrRelease, attrNotBefore, attrError, attrShard, attrDue)
	w.outcome(Queued, Held, Unknown, Failed)
	return s.update(ctx, accountID, mid, w)
}

// Ending is a bad end of a message, or its cancelling.
type Ending struct {
	Status  Status
	At      time.Time
	Problem *Problem
	// Claim counts the message when it is not 0: the provider may have taken it.
	Claim int64
	// Attempt says that a call was made just now, ProviderVersion under which version of the provider's entry.
	Attempt         bool
	ProviderVersion int64
}

// End writes a bad end. It is refused when the message is final, when a later holder fenced it off, and when the
// provider reported having it.
func (s *Store) End(ctx context.Context, accountID string, mid id.Message, lease int64, e Ending) (Written, error) {
	w := newWrite()
	w.set(attrOutcome, str(string(e.Status)))
	if e.Claim != 0 {
		w.set(attrClaim, num(e.Claim))
	}
	if e.Attempt {
		w.count(attrAttempts)
	}
	if e.ProviderVersion != 0 {
		w.set(attrRegistry, num(e.ProviderVersion))
	}
	reason := ""
	if e.Problem != nil {
		reason = e.Problem.Code
	}
	if err := w.problem(attrError, e.Problem); err != nil {
		return Written{}, err
	}
	w.step(Step{Status: e.Status, At: e.At, Reason: reason})
	w.remove(attrHeldKey, attrHeldSort, attrHeld, attrHeldLease, attrRelease, attrNotBefore, attrShard, attrDue)
	w.waiting(lease)
	return s.update(ctx, accountID, mid, w)
}

// Hold puts a message aside until it is released. ReleaseAt may be zero: not known. The conditions are those of End.
func (s *Store) Hold(ctx context.Context, m Message, lease int64, at time.Time, reason string, releaseAt time.Time) (Written, error) {
	w := newWrite()
	w.set(attrOutcome, str(string(Held)))
	w.set(attrHeld, str(reason))
	w.set(attrHeldLease, num(lease))
	w.set(attrHeldKey, str(m.AccountID))
	w.set(attrHeldSort, str(m.ID.Unique+m.ID.Conversation))
	if releaseAt.IsZero() {
		w.remove(attrRelease)
	} else {
		w.set(attrRelease, num(releaseAt.UnixMilli()))
	}
	if m.HeldBy == "" {
		w.remove(attrHeldBy)
	} else {
		w.set(attrHeldBy, str(m.HeldBy))
	}
	if m.Outcome != Held || m.HeldReason != reason {
		w.step(Step{Status: Held, At: at, Reason: reason})
	}
	w.waiting(lease)
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Release lets a held message wait for its turn again; the message is given as the caller saw it. The reference that
// wakes the dispatcher is queued before, so a crash in between leaves a message that is dispatched all the same. A
// dispatcher may be so quick as to hold the message again before it is released: then that reference is spent, and the
// release is refused, or else the message would wait for ever.
func (s *Store) Release(ctx context.Context, m Message, at time.Time) (Written, error) {
	w := newWrite()
	w.set(attrOutcome, str(string(Queued)))
	w.step(Step{Status: Queued, At: at, Reason: StepReleased})
	w.remove(attrHeldKey, attrHeldSort, attrHeld, attrHeldLease, attrHeldBy, attrRelease)
	w.outcome(Held)
	w.conditions = append(w.conditions, fmt.Sprintf("%s = %s", w.name(attrHeldLease), w.value("seen", num(m.HeldLease))))
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Retry records an attempt that the provider did not take, and when the next may be made. The conditions are those
// of End.
func (s *Store) Retry(ctx context.Context, accountID string, mid id.Message, lease int64, at time.Time, reason string, notBefore time.Time) (Written, error) {
	w := newWrite()
	w.count(attrAttempts)
	w.set(attrNotBefore, num(notBefore.UnixMilli()))
	w.step(Step{Status: Queued, At: at, Reason: reason})
	w.waiting(lease)
	return s.update(ctx, accountID, mid, w)
}

// Spare records an attempt as Retry does, which does not count against the message: its provider took nothing of anybody. Of many the timeline
// has the first. The message is given as the caller saw it.
func (s *Store) Spare(ctx context.Context, m Message, lease int64, at time.Time, reason string, notBefore time.Time) (Written, error) {
	w := newWrite()
	w.count(attrAttempts)
	w.count(attrSpared)
	w.set(attrNotBefore, num(notBefore.UnixMilli()))
	if m.Spared == 0 {
		w.step(Step{Status: Queued, At: at, Reason: reason})
	}
	w.waiting(lease)
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Await records that the message waits for its sender's turn, and until when. No attempt was made. The conditions are those of End.
func (s *Store) Await(ctx context.Context, m Message, lease int64, at, notBefore time.Time) (Written, error) {
	w := newWrite()
	w.set(attrNotBefore, num(notBefore.UnixMilli()))
	w.step(Step{Status: Queued, At: at, Reason: StepLined})
	w.waiting(lease)
	return s.update(ctx, m.AccountID, m.ID, w)
}

// Report is a provider's word on a message's delivery.
type Report struct {
	Status            Status
	At                time.Time
	ProviderMessageID string
	Problem           *Problem
}

// Report records a provider's word on a message of a channel, if it moves the message forward. A report of "sent" is only of use when our
// own write of the outcome was lost, so it is looked at first: a read costs a fifth of a refused write. It returns
// ErrNotFound when the account has no such message on that channel.
func (s *Store) Report(ctx context.Context, accountID, channelID string, mid id.Message, r Report) (Written, error) {
	if r.Status == Sent {
		out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(accountID, mid, statePrefix)})
		if err != nil {
			return Written{}, fmt.Errorf("look at message: %w", err)
		}
		if len(out.Item) > 0 {
			m, err := decode(out.Item)
			switch {
			case err != nil:
				return Written{}, err
			case m.ChannelID != channelID:
				return Written{}, ErrNotFound
			case m.Status().Rank() >= Sent.Rank():
				return Written{Message: m}, nil
			}
		}
	}
	w := newWrite()
	w.set(attrReport, str(string(r.Status)))
	if r.ProviderMessageID != "" {
		w.set(attrProviderID, str(r.ProviderMessageID))
	}
	if err := w.problem(attrReportErr, r.Problem); err != nil {
		return Written{}, err
	}
	reason := ""
	if r.Problem != nil {
		reason = r.Problem.Code
	}
	w.step(Step{Status: r.Status, At: r.At, Reason: reason})
	var from []Status
	switch r.Status {
	case Read:
		from = []Status{Sent, Failed, Delivered}
	case Delivered:
		from = []Status{Sent, Failed}
	case Failed:
		from = []Status{Sent}
	case Sent:
		// An outcome of "sent" is all that this report could tell.
		w.outcome(Queued, Held, Unknown, Failed)
	default:
		return Written{}, fmt.Errorf("report status %q: it can't be reported", r.Status)
	}
	if r.Status != Sent {
		w.outcome(Queued, Held, Unknown, Failed, Expired, Sent)
	}
	condition := fmt.Sprintf("attribute_not_exists(%s)", w.name(attrReport))
	if len(from) > 0 {
		list := make([]string, len(from))
		for i, f := range from {
			list[i] = w.value("was"+string(f), str(string(f)))
		}
		condition = fmt.Sprintf("(%s OR %s IN (%s))", condition, w.name(attrReport), strings.Join(list, ", "))
	}
	w.conditions = append(w.conditions, condition, fmt.Sprintf("%s = %s", w.name(attrChannel), w.value(attrChannel, str(channelID))))
	written, err := s.update(ctx, accountID, mid, w)
	if err == nil && written.Message.ChannelID != channelID {
		return Written{}, ErrNotFound
	}
	return written, err
}

// Receive records an inbound message once. ReplyID is the provider's id of the reply: whoever records it first
// decides the message's id, and every later call finds that one. It is counted before it can be seen. Four requests, five when the
// content is long; a duplicate takes two, unless the one before it was cut short.
func (s *Store) Receive(ctx context.Context, m Message, replyID string) (Message, bool, error) {
	seen := item{
		attrPK: str(partition(m.AccountID, m.ID.Conversation)), attrSK: str(seenPrefix + replyID), "u": str(m.ID.Unique), attrTTL: num(m.CreatedAt().Add(m.keptFor(s.Retention)).Unix()),
	}
	_, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.Table, Item: seen, ConditionExpression: aws.String("attribute_not_exists(#pk)"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	refused := new(types.ConditionalCheckFailedException)
	first := true
	switch {
	case errors.As(err, &refused):
		first = false
		m.ID.Unique = text(refused.Item, "u")
		if recorded, err := s.recorded(ctx, m); err != nil || recorded {
			return m, false, err
		}
	case err != nil:
		return m, false, fmt.Errorf("record reply: %w", err)
	}
	counted := m
	if counted.replyNo, err = s.countReply(ctx, m); err != nil {
		return m, false, err
	}
	if err := s.Create(ctx, counted); err != nil {
		return m, false, err
	}
	return m, first, nil
}

// recorded reports whether a message is there.
func (s *Store) recorded(ctx context.Context, m Message) (bool, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, Key: key(m.AccountID, m.ID, statePrefix), ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("#pk"), ExpressionAttributeNames: map[string]string{"#pk": attrPK},
	})
	if err != nil {
		return false, fmt.Errorf("look for message: %w", err)
	}
	return len(out.Item) > 0, nil
}
