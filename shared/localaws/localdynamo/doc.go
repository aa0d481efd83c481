// Package localdynamo knows how Amazon DynamoDB behaves, well enough to stand in for it in tests and on one machine. It speaks
// the service's JSON protocol (X-Amz-Target: DynamoDB_20120810.*) over HTTP and keeps everything in memory.
//
// Calls: CreateTable, DescribeTable, ListTables, DeleteTable, UpdateTimeToLive, DescribeTimeToLive, PutItem, GetItem, UpdateItem,
// DeleteItem, Query, Scan, BatchGetItem, BatchWriteItem, TransactWriteItems, TransactGetItems; with condition, update, key
// condition, filter and projection expressions, global and local secondary indexes, return values, consumed capacity, and the
// limits on items, keys, expressions, batches and pages.
//
// # What AWS does and this does not
//
// Reads of an index are never stale. Nothing is throttled and no partition has a limit. TTL is remembered but deletes nothing
// (AWS deletes days late: always check the time as well). There are no streams, backups, PartiQL, or the parameters from before
// expressions (Expected, AttributeUpdates, KeyConditions …), which are refused. Signatures are not checked.
package localdynamo
