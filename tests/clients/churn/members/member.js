// A group member on KafkaJS. The contract is in ../README.md; node_modules is that of ../../node.
'use strict'

const fs = require('fs')
const readline = require('readline')
const { Kafka, logLevel } = require('kafkajs')

const args = Object.fromEntries(process.argv.slice(2).map(a => [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)]))
const auto = args.commit === 'auto'

function write(text) {
  let data = Buffer.from(text)
  while (data.length > 0) {
    try {
      data = data.subarray(fs.writeSync(1, data))
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
    }
  }
}

const emit = (e, more) => write(JSON.stringify({ t: Date.now(), e, ...more }) + '\n')

let owned = []
let memberId = null
// Of what it owns; told by the first heartbeat after it has joined.
let generation = -1
// When it asked to join anew: what it has to give up then it is told of only when it has joined.
let joining
const disown = (event, member, t = Date.now()) => {
  if (owned.length > 0) emit(event, { partitions: owned, member, t })
  owned = []
  generation = -1
}

// The only sign of a lost session is in the log.
const logCreator = () => ({ log }) => {
  if (log.message.startsWith('The coordinator is not aware of this member')) disown('lost')
  process.stderr.write(`${log.timestamp} ${log.message} ${log.error || ''}\n`)
}

const kafka = new Kafka({
  clientId: args.name,
  brokers: args.bootstrap.split(','),
  logLevel: logLevel.WARN,
  logCreator,
  // SUBTLE: it looks for the coordinator anew only after it has given up and begun again.
  retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 5 },
})

const consumer = kafka.consumer({
  groupId: args.group,
  sessionTimeout: Number(args.session_ms),
  rebalanceTimeout: 20000,
  heartbeatInterval: 500,
  metadataMaxAge: 1000,
  maxWaitTimeInMs: 250,
})

let resolveLine = null
const lines = []
readline.createInterface({ input: process.stdin }).on('line', line => {
  if (resolveLine) {
    resolveLine(line)
    resolveLine = null
  } else lines.push(line)
// Whoever started it has gone, and would not end it.
}).on('close', () => process.exit(1))
const nextLine = () => (lines.length > 0 ? Promise.resolve(lines.shift()) : new Promise(done => { resolveLine = done }))

async function commit(offsets, late = false) {
  const wanted = Object.entries(offsets).map(([p, o]) => ({ topic: args.topic, partition: Number(p), offset: String(o) }))
  try {
    await consumer.commitOffsets(wanted)
    emit('committed', { offsets, late })
  } catch (error) {
    emit('commit_failed', { error: error.type || error.name, late })
    // KafkaJS joins again when the handler throws this.
    throw error
  }
}

async function lateCommit() {
  const [, partition, offset] = lines.shift().split(' ')
  emit('stalled')
  // SUBTLE: nothing else is done until `go`, or it would join again before its late commit.
  if ((await nextLine()) !== 'go') throw new Error('not go')
  await commit({ [partition]: Number(offset) }, true)
}

async function eachBatch({ batch, resolveOffset, heartbeat, isRunning, isStale }) {
  if (lines.length > 0) await lateCommit()
  if (!isRunning() || isStale()) return
  for (const message of batch.messages) {
    emit('record', { p: batch.partition, o: Number(message.offset), v: message.value.toString() })
    resolveOffset(message.offset)
  }
  if (!auto && batch.messages.length > 0) await commit({ [batch.partition]: Number(batch.lastOffset()) + 1 })
  await heartbeat()
}

async function main() {
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    disown('revoked', payload.memberId, joining)
    joining = undefined
    owned = payload.memberAssignment[args.topic] || []
    memberId = payload.memberId
    emit('assigned', { partitions: owned, member: memberId })
  })
  consumer.on(consumer.events.HEARTBEAT, ({ payload }) => {
    if (owned.length === 0 || payload.memberId !== memberId || payload.groupGenerationId === generation) return
    generation = payload.groupGenerationId
    emit('generation', { generation })
  })
  consumer.on(consumer.events.REQUEST, ({ payload }) => {
    if (payload.apiName === 'JoinGroup') joining = joining || payload.sentAt
  })
  consumer.on(consumer.events.REBALANCING, ({ payload }) => disown('revoked', payload.memberId))
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    disown('lost')
    joining = undefined
    emit('error', { error: String(payload.error) })
    // It takes some errors for final, a session lost before a commit for one. Then its application begins again.
    if (!payload.restart) beginAgain(0)
  })
  process.on('SIGTERM', async () => {
    // Before it has left: others may own them from then on.
    disown('revoked', memberId)
    await consumer.stop()
    await consumer.disconnect()
    emit('closed')
    process.exit(0)
  })
  emit('started')
  await begin()
}

async function begin() {
  await consumer.connect()
  await consumer.subscribe({ topics: [args.topic], fromBeginning: true })
  await consumer.run({ autoCommit: auto, autoCommitInterval: 500, eachBatch })
}

// What is left of its old connections may end the first attempts.
function beginAgain(attempts) {
  begin().catch(error => {
    if (attempts === 20) fatal(error)
    emit('error', { error: String(error) })
    setTimeout(beginAgain, 500, attempts + 1)
  })
}

function fatal(error) {
  emit('error', { error: String(error) })
  process.exit(1)
}

main().catch(fatal)
