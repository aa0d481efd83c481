// Package localsqs knows how Amazon SQS behaves, well enough to stand in for it in tests and on one machine. It speaks the
// service's JSON protocol (application/x-amz-json-1.0, X-Amz-Target: AmazonSQS.*) over HTTP and keeps everything in memory.
//
// Calls: CreateQueue, DeleteQueue, GetQueueUrl, ListQueues, GetQueueAttributes, SetQueueAttributes, PurgeQueue, SendMessage,
// SendMessageBatch, ReceiveMessage, DeleteMessage, DeleteMessageBatch, ChangeMessageVisibility, ChangeMessageVisibilityBatch,
// ListDeadLetterSourceQueues, StartMessageMoveTask, ListMessageMoveTasks, TagQueue, UntagQueue, ListQueueTags. Permissions
// and encryption keys are accepted as attributes and have no effect; signatures are not checked.
//
// # What is modelled
//
// Visibility timeouts with the cap of 12 hours, delays, retention, long polls, dead-letter queues (a message that would be
// received more often than maxReceiveCount is moved instead), the limit of 120,000 messages in flight, sizes, checksums, and
// the error codes that the AWS SDKs know. Standard queues are fair between message groups; see fair.go for the rule. FIFO
// queues keep the order within a group, lock a group that has messages in flight, and drop duplicates for five minutes.
//
// # What AWS does and this does not
//
// AWS may deliver a message twice or out of order, and a short poll may miss messages: here delivery within a group is oldest
// first, and a poll sees everything. A stale receipt handle deletes nothing, which AWS says may happen. Move tasks end at once.
package localsqs
