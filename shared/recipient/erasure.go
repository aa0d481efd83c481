package recipient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
)

const (
	attrStatus        = "status"
	attrConversations = "conversations"
	attrAddresses     = "address_keys"
	attrNext          = "next"
	attrCursor        = "cursor"
	attrLeft          = "left"
	attrPass          = "pass_at"
	attrStep          = "step"
	attrErased        = "erased"
	attrCanceled      = "canceled"
	attrCompleted     = "completed_at"
	attrHadAddresses  = "had_addresses"
	attrHadConsents   = "had_consents"
	attrCertificate   = "certificate"
	attrSeenErased    = "seen_erased"

	erasureSort = "erasure"

	// freeAfter is how long nothing is made of an erased address on the way: longer than a read may last that began
	// while a message still held it.
	freeAfter = time.Minute
)

// ErasureStatus says how far an erasure is.
type ErasureStatus string

// The statuses of an erasure.
const (
	Running ErasureStatus = "running"
	Done    ErasureStatus = "done"
)

// Erasure is the job that erases what is kept of a recipient. It holds keys only, no address.
type Erasure struct {
	AccountID, ID, RecipientID string
	Status                     ErasureStatus
	RequestedAt, CompletedAt   time.Time
	// Conversations are the keys of all conversations that the recipient's addresses may have had, AddressKeys those of
	// the addresses.
	Conversations, AddressKeys []string
	// Erased and Canceled count messages, Addresses and Consents what the recipient's own record had.
	Erased, Canceled    int64
	Addresses, Consents int64
	// Certificate is the signed word that it is done; "" until then, and for one from before there were certificates.
	Certificate string

	// Next and Cursor are where the present pass is; Left says that it met a message in flight; PassAt is when it began. Seen counts the
	// messages that the pass has behind it and that are erased: after the last pass all of them, however often the job was cut off.
	Next   int
	Cursor string
	Left   bool
	PassAt time.Time
	Seen   int64

	step int64
}

// Erase takes a recipient's own record, addresses and consents away at once and leaves a job for the messages; nothing of
// the person is made anew from them while the job runs. Opt-outs stay: they hold no address. Of a restricted recipient the
// addresses' keys stay too, for good, so that the restriction holds for them as before and nobody is made of them. It
// returns ErrChanged.
func (s *Store) Erase(ctx context.Context, r Recipient, job Erasure, restricted bool, e audit.Event) error {
	it := key(job.AccountID, job.ID, erasureSort)
	it[attrStatus], it[attrOwner], it[attrCreated] = attr.String(string(Running)), attr.String(r.ID), attr.Time(job.RequestedAt)
	it[attrConversations] = attr.Strings(job.Conversations)
	it[attrStep], it[attrHadAddresses], it[attrHadConsents] = attr.Int(0), attr.Int(int64(len(r.Addresses))), attr.Int(job.Consents)
	tombstone := key(r.AccountID, r.ID, recipientSort)
	tombstone[attrErasing], tombstone[attrErasedAt] = attr.String(job.ID), attr.Time(job.RequestedAt)
	var addressKeys []string
	changes := []types.TransactWriteItem{
		{Put: &types.Put{
			TableName: &s.Table, Item: listed(tombstone), ConditionExpression: aws.String("#version = :over"),
			ExpressionAttributeNames: map[string]string{"#version": attrVersion}, ExpressionAttributeValues: attr.Item{":over": attr.Int(r.version)},
		}},
		{Delete: &types.Delete{TableName: &s.Table, Key: key(r.AccountID, r.ID, consentsSort)}},
	}
	for _, a := range r.Addresses {
		marker := s.pointerKey(r.AccountID, a)
		marker[attrErasing], marker[attrUntil] = attr.String(job.ID), attr.Time(farFuture())
		if restricted {
			marker[attrOwner] = attr.String(r.ID)
		} else {
			addressKeys = append(addressKeys, s.AddressKey(r.AccountID, a))
		}
		changes = append(changes, types.TransactWriteItem{Put: &types.Put{TableName: &s.Table, Item: listed(marker)}})
	}
	it[attrAddresses] = attr.Strings(addressKeys)
	changes = append(changes, types.TransactWriteItem{Put: &types.Put{TableName: &s.Table, Item: listed(it)}})
	e.Action, e.Target, e.Before, e.After = "recipient.erased", r.ID, shape(r), map[string]any{"erasure_id": job.ID}
	return s.refused(s.Audit.Write(ctx, e, changes...))
}

// ErasureOf gives the job that erased a recipient, or ErrNotFound. Two requests.
func (s *Store) ErasureOf(ctx context.Context, accountID, recipientID string) (Erasure, error) {
	it, err := s.read(ctx, accountID, recipientID, recipientSort)
	if err != nil {
		return Erasure{}, err
	}
	job := attr.Text(it, attrErasing)
	if job == "" {
		return Erasure{}, ErrNotFound
	}
	return s.Erasure(ctx, accountID, job)
}

// Erasure gives a job, or ErrNotFound.
func (s *Store) Erasure(ctx context.Context, accountID, erasureID string) (Erasure, error) {
	it, err := s.read(ctx, accountID, erasureID, erasureSort)
	if err != nil {
		return Erasure{}, err
	}
	if len(it) == 0 {
		return Erasure{}, ErrNotFound
	}
	return Erasure{
		AccountID: accountID, ID: erasureID, RecipientID: attr.Text(it, attrOwner), Status: ErasureStatus(attr.Text(it, attrStatus)),
		RequestedAt: attr.Moment(it, attrCreated), CompletedAt: attr.Moment(it, attrCompleted),
		Conversations: attr.Texts(it, attrConversations), AddressKeys: attr.Texts(it, attrAddresses),
		Erased: attr.Number(it, attrErased), Canceled: attr.Number(it, attrCanceled), Next: int(attr.Number(it, attrNext)), Cursor: attr.Text(it, attrCursor),
		Addresses: attr.Number(it, attrHadAddresses), Consents: attr.Number(it, attrHadConsents), Certificate: attr.Text(it, attrCertificate), Seen: attr.Number(it, attrSeenErased),
		Left: attr.Number(it, attrLeft) != 0, PassAt: attr.Moment(it, attrPass), step: attr.Number(it, attrStep),
	}, nil
}

// Advance records how far a job came. It returns ErrChanged when somebody else works on it.
func (s *Store) Advance(ctx context.Context, job *Erasure) error {
	values := attr.Item{
		":next": attr.Int(int64(job.Next)), ":cursor": attr.String(job.Cursor), ":left": attr.Int(0), ":erased": attr.Int(job.Erased), ":seenerased": attr.Int(job.Seen), ":canceled": attr.Int(job.Canceled),
		":pass": attr.Time(job.PassAt), ":seen": attr.Int(job.step), ":step": attr.Int(job.step + 1), ":running": attr.String(string(Running)),
	}
	if job.Left {
		values[":left"] = attr.Int(1)
	}
	_, err := s.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table, Key: key(job.AccountID, job.ID, erasureSort), ConditionExpression: aws.String("#step = :seen AND #status = :running"),
		UpdateExpression: aws.String("SET #next = :next, #cursor = :cursor, #left = :left, #erased = :erased, #seenerased = :seenerased, #canceled = :canceled, #pass = :pass, #step = :step"),
		ExpressionAttributeNames: map[string]string{
			"#next": attrNext, "#cursor": attrCursor, "#left": attrLeft, "#erased": attrErased, "#seenerased": attrSeenErased, "#canceled": attrCanceled, "#pass": attrPass, "#step": attrStep, "#status": attrStatus,
		},
		ExpressionAttributeValues: values,
	})
	if refused := new(types.ConditionalCheckFailedException); errors.As(err, &refused) {
		return ErrChanged
	}
	if err != nil {
		return fmt.Errorf("record erasure: %w", err)
	}
	job.step++
	return nil
}

// Finish says that a job is done, at its CompletedAt, with its certificate, and frees its addresses. Doing it again changes nothing.
func (s *Store) Finish(ctx context.Context, job Erasure) error {
	now := job.CompletedAt
	done := &types.Update{
		TableName: &s.Table, Key: key(job.AccountID, job.ID, erasureSort), ConditionExpression: aws.String("#status = :running"),
		UpdateExpression: aws.String("SET #status = :done, #completed = :now, #erased = :erased, #certificate = :certificate REMOVE #conversations, #addresses, #cursor"),
		ExpressionAttributeNames: map[string]string{
			"#status": attrStatus, "#completed": attrCompleted, "#erased": attrErased, "#certificate": attrCertificate,
			"#conversations": attrConversations, "#addresses": attrAddresses, "#cursor": attrCursor,
		},
		ExpressionAttributeValues: attr.Item{
			":running": attr.String(string(Running)), ":done": attr.String(string(Done)), ":now": attr.Time(now), ":erased": attr.Int(job.Erased), ":certificate": attr.String(job.Certificate),
		},
	}
	changes := []types.TransactWriteItem{{Update: done}}
	for _, k := range job.AddressKeys {
		changes = append(changes, types.TransactWriteItem{Update: &types.Update{
			TableName: &s.Table, Key: key(job.AccountID, k, recipientSort), ConditionExpression: aws.String("#erasing = :job"),
			UpdateExpression:          aws.String("SET #until = :until, #ttl = :ttl"),
			ExpressionAttributeNames:  map[string]string{"#erasing": attrErasing, "#until": attrUntil, "#ttl": attrTTL},
			ExpressionAttributeValues: attr.Item{":job": attr.String(job.ID), ":until": attr.Time(now.Add(freeAfter)), ":ttl": attr.Int(now.Add(2 * freeAfter).Unix())},
		}})
	}
	_, err := s.DB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: changes})
	if canceled := new(types.TransactionCanceledException); errors.As(err, &canceled) && there(canceled) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finish erasure: %w", err)
	}
	return nil
}
