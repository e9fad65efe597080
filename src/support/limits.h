// Every limit of Verge, with its reason. A number that bounds input, time or memory lives here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace verge::limits {

// HTTP. A line and header larger than these is no client of ours (nginx: 8 KiB x 4).
inline constexpr size_t kHeaderBytes = 32 << 10;
inline constexpr size_t kBodyBytes = 100 << 20;        // an image as a JSON array of numbers, generously
inline constexpr size_t kTextBodyBytes = 10 << 20;     // text generation; Cloudflare's batch limit is 10 MB
inline constexpr int kHeaderTimeoutMs = 10'000;        // slow-loris
inline constexpr int kIdleTimeoutMs = 60'000;          // keep-alive connection with nothing on it
inline constexpr int kWriteTimeoutMs = 30'000;         // a reader that takes nothing is cut
inline constexpr size_t kConnections = 10'000;
inline constexpr size_t kHeaderLines = 100;
inline constexpr size_t kTargetBytes = 8 << 10;        // request line, as nginx
inline constexpr int kBodyTimeoutMs = 30'000;          // first bytes of a body; later ones must keep kBodyBytesPerSecond
inline constexpr int kBodyBytesPerSecond = 4096;       // slower than any modem: slow-loris in a body
inline constexpr size_t kBodiesBytes = size_t{1} << 30;  // bodies in memory at once, all connections together
inline constexpr size_t kUnsentBytes = 128 << 10;      // of a stream, in the kernel, before its writer waits
inline constexpr int kConnectTimeoutMs = 5'000;

// Documents for toMarkdown(), each in a process of its own.
inline constexpr int kConvertSeconds = 20;
inline constexpr uint64_t kConvertMemoryBytes = 1ull << 30;
inline constexpr size_t kConvertOutputBytes = 32 << 20;

// A hosted Worker that is silent for so long gets its request cut (Cloudflare's proxy: 100 s, error 524).
inline constexpr int kWorkerAnswerMs = 100'000;
inline constexpr size_t kWorkerLogBytes = 1 << 20;       // of one message that a hosted Worker prints; the rest is cut

// Images. The header's size is checked before pixels are allocated; 3 bytes a pixel, and a progressive JPEG keeps
// 6 more while it is read.
inline constexpr size_t kImageBytes = 64 << 20;
inline constexpr uint64_t kImagePixels = 64'000'000;   // the largest cameras have near 60 million
inline constexpr uint64_t kImageSide = 32'000;
inline constexpr size_t kImageLabels = 100'000;          // classes; ImageNet has 21,841
inline constexpr int kImageChannels = 1 << 16;          // of a layer; sizes of tensors are checked against the file besides
inline constexpr int64_t kScaledPixels = 4'000'000;    // of a model's input; DETR has 1333 x 1333 at most
inline constexpr int kImageClasses = 5;                // best ones of a classification, as published
inline constexpr int kImageQueries = 1 << 14;           // objects that a detector can find in one picture; DETR has 100
inline constexpr int kPreparedSide = 4096;             // of a model's input; published ones have up to 1333
inline constexpr int kPicturesOfBatch = 32;            // of all callers; goes through in parts of kPicturesAtOnce
inline constexpr int kPicturesAtOnce = 8;              // go through a network together: its activations stay near the caches
inline constexpr uint64_t kJpegScans = 200;            // encoders write about ten; each passes over all pixels ...
inline constexpr uint64_t kJpegScanPixels = 2'000'000'000;  // ... which for the largest pictures leaves thirty of them
inline constexpr size_t kPngChunkBytes = 8 << 20;      // other chunks than pixels, unpacked

// JSON. Deep nesting costs stack in every consumer.
inline constexpr size_t kJsonDepth = 64;
inline constexpr size_t kSchemaErrors = 16;            // violations listed in one answer
inline constexpr uint32_t kSchemaPatternSteps = 100'000;  // backtracking of a schema's `pattern`

// Forms. RFC 2046 allows a boundary 70 characters.
inline constexpr size_t kBoundaryBytes = 200;
inline constexpr size_t kFormParts = 64;

// Names that the header `verge-ignored` lists.
inline constexpr size_t kIgnoredNames = 16;
inline constexpr size_t kIgnoredNameBytes = 64;

// Metrics: series of one family; label values past these are counted as "other".
inline constexpr size_t kMetricSeries = 500;

// SQLite: wait this long for another process that writes.
inline constexpr int kDbBusyMs = 5'000;

// Accounts. The cluster's lease store is asked while requests wait.
inline constexpr int kLeaseStoreMs = 1'000;            // ... for so long, and not again for so long where it could not be reached
inline constexpr int kLeaseMs = 2'000;                 // of an account's spending in one lease ...
inline constexpr int kLeaseLeastParts = 1'000;         // ... but a thousandth of its allocation at least,
inline constexpr int kLeaseMostParts = 20;             // and a twentieth at most: what a dead gateway takes with it
inline constexpr size_t kAccountBytes = 64;            // of an id; published ones have 32
inline constexpr size_t kAccountsTracked = 100'000;    // with limits, on one gateway; about 1 KB each
inline constexpr size_t kUsageUnwritten = 100'000;     // rows kept in memory while the disk takes none
inline constexpr int kUsageRetryMs = 1'000;
inline constexpr int kUsageSyncMs = 50;                // at most so old are rows that a power cut takes; a sync costs as much as three commits
inline constexpr int64_t kUsageDays = 400;             // single rows; their sums by day stay
inline constexpr int kLeaseTries = 8;                  // compare-and-set against other gateways, in one request

// Internal protocol.
inline constexpr size_t kFrameBytes = 128 << 20;       // one header + payload; above the HTTP body limit
inline constexpr size_t kEventBytes = 16 << 20;

// Router. Ejection and retry budget are Envoy's defaults.
inline constexpr int kAttempts = 3;                    // in a row that bring the client nothing new
inline constexpr int kAttemptsInAll = 10;              // a long answer may survive several nodes, a poisoned one not all
inline constexpr int kRetryFloor = 3;
inline constexpr int kRetryPerSecond = 2;                // of a router, whatever its requests
inline constexpr int kRetryPercent = 20;               // of the requests under way
inline constexpr int kRetrySameMs = 100;               // a worker's restart; four times as long the second time
inline constexpr int kRetryElsewhereMs = 25;
inline constexpr int kPatienceMs = 10'000;              // a node that has not accepted a request by then, nor in ...
inline constexpr int kPatienceTimes = 4;               // ... so many times what was expected, hangs
inline constexpr size_t kRoomWaiters = 1024;           // requests of a router that wait because all nodes are full
inline constexpr int kRoomWaitMs = 10'000;             // each of them at most
inline constexpr int kRetryAfterMaxMs = 30'000;
inline constexpr int kHopConnectMs = 1'000;            // from gateway to node, with TLS: three round trips of the longest way; then another is asked
inline constexpr int kEjectFailures = 5;               // in a row
inline constexpr int kEjectMs = 30'000;                // times the number of ejections
inline constexpr int kEjectMaxMs = 300'000;
inline constexpr int kNodeSuspectMs = 3'000;           // three heartbeats: chosen only if there is no other
inline constexpr int kNodeDeadMs = 5'000;
inline constexpr int kNodeForgottenMs = 60'000;
inline constexpr double kRttNearMs = 50;               // nodes so much farther than the nearest are as good as it
inline constexpr int kPlacementSettleMs = 3'000;        // a want must last so long: the other nodes' next heartbeats may answer it
inline constexpr int kPlacementHoldMs = 60'000;        // a model that was loaded stays at least so long, one unloaded stays away
inline constexpr int kPlacementWidenMs = 20'000;       // a want that lasts: the next in line tries too
inline constexpr double kPlacementGain = 100;          // ms saved a second that are worth a load
inline constexpr int kDemandHalfMs = 20'000;           // demand forgets half in this time
inline constexpr size_t kDemandModels = 1000;          // of a gateway's own count
inline constexpr size_t kPrefixHints = 16 << 10;       // of a router, in each of two generations

// Traces, between two exports; older spans are dropped first.
inline constexpr size_t kSpansWaiting = 8'192;
inline constexpr size_t kSpansOfExport = 512;
inline constexpr int kSpanExportMs = 1'000;

// Cluster.
inline constexpr int kHeartbeatMs = 1'000;             // give or take a fifth, so that a thousand nodes do not speak at once
inline constexpr size_t kHeartbeatBytes = 256 << 10;
inline constexpr size_t kNodeModels = 1'000;           // that one node lists
inline constexpr size_t kModelIdBytes = 256;
inline constexpr size_t kClusterNodes = 10'000;
inline constexpr size_t kClusterModels = 2'000;        // ids that nodes serve and no catalogue here knows
inline constexpr int kProbeMs = 1'000;                 // of the nearest nodes and those with requests under way; five times that of others
inline constexpr int kProbeNearest = 8;
inline constexpr int kProbeTimeoutMs = 1'500;          // two round trips around the world and a lost packet
inline constexpr int kPathLostMs = 4'000;              // a node that is alive but cannot be reached from here

// Model files are hostile: counts are checked against these before anything is allocated.
inline constexpr uint64_t kTensorCount = 1 << 17;
inline constexpr uint64_t kMetadataCount = 1 << 16;
inline constexpr uint64_t kMetadataStringBytes = 16 << 20;
inline constexpr uint64_t kMetadataArrayItems = 8 << 20;
inline constexpr int kTensorDims = 4;
inline constexpr uint64_t kTensorNameBytes = 256;      // ggml's own limit is 64, the hub's longest names are near 120
inline constexpr uint64_t kMetadataKeyBytes = 1024;    // keys are dotted names of a few words
inline constexpr uint64_t kGgufAlignment = 1 << 16;    // 32 is usual; a page of 64 KiB is the most that helps a map
inline constexpr uint64_t kSplitFiles = 1000;          // parts of one model; the largest published ones have near 200
inline constexpr uint64_t kSafetensorsHeaderBytes = 16 << 20;  // near 100 bytes a tensor; its JSON costs ten times that in memory
inline constexpr size_t kPickleValues = 4 << 20;         // of a torch checkpoint: about thirty a tensor
inline constexpr uint64_t kVocabulary = 4 << 20;
inline constexpr uint64_t kVocabularyBytes = 512 << 20;     // all token texts together; offsets are 32 bits
inline constexpr uint64_t kTokenizerMerges = 8 << 20;       // as many as array items
inline constexpr size_t kSplitPatternBytes = 64 << 10;      // the longest in use has 3 KiB
inline constexpr uint32_t kSplitMatchSteps = 10'000'000;    // backtracking of one match of a split pattern
inline constexpr uint32_t kSplitMatchHeapKiB = 64 << 10;
inline constexpr uint64_t kTokenizerJsonBytes = 256 << 20;
inline constexpr uint64_t kConfigJsonBytes = 16 << 20;

// Shapes of language models; sizes of tensors are checked against the file besides.
inline constexpr int kLayers = 1024;
inline constexpr int kHeads = 1024;
inline constexpr int kHeadDim = 512;                   // the attention kernels keep one head on the stack
inline constexpr int kModelWidth = 1 << 20;
inline constexpr int kContextTokens = 1 << 24;         // positions beyond are not exact in f32

// Speech models and audio. Whisper large-v3 has 128 bands, 1500 positions (30 s) and 448 text positions.
inline constexpr int kMels = 512;
inline constexpr int kAudioPositions = 1 << 14;
inline constexpr int kTextPositions = 1 << 14;
inline constexpr size_t kSpeechPromptBytes = 16 << 10;   // initial_prompt, prefix: the model reads about 220 tokens of them
inline constexpr size_t kSpeechTemperatures = 8;
inline constexpr int kSpeechClips = 64;                  // in one worker, waiting or under way; their bytes are held
inline constexpr int kSpeechWindows = 8;                 // in the decoder at once
inline constexpr int kSpeechEncoderWindows = 4;          // in one batch of the encoder
inline constexpr int kSpeechHypotheses = 16;             // of one search: beams, samples
inline constexpr int64_t kSpeechMemoryBytes = 1 << 30;   // what the decoder sees of those windows; large models get fewer
inline constexpr int kClipSeconds = 4 * 3600;            // of one request
inline constexpr int kAudioPassMs = 300'000;             // decoding a clip once; four hours take about half a minute
inline constexpr size_t kAudioAllocationBytes = 64 << 20;  // any one allocation of FFmpeg's libraries
inline constexpr int kAudioProbeBytes = 4 << 20;         // looked at to find the streams
inline constexpr int kAudioStreams = 64;
inline constexpr int kAudioRate = 768'000;               // Hz, of the input
inline constexpr int kAudioChannels = 64;
inline constexpr int64_t kClipSamplesKept = 10 * 60 * 16000;  // longer clips are decoded again for each pass
inline constexpr size_t kSpeechTokenBytes = 1024;        // text of one token in a speech model's vocabulary

// Chat templates run in our own interpreter under these.
inline constexpr size_t kTemplateBytes = 1 << 20;
inline constexpr size_t kTemplateSteps = 10'000'000;       // about a second; templates that scan all messages for each of 1,000 fit
inline constexpr size_t kTemplateBytesPerStep = 1024;      // text made counts as work too: one step for so many bytes
inline constexpr size_t kTemplateOutputBytes = 16 << 20;   // of the rendering and of any one string
inline constexpr size_t kTemplateMemoryBytes = 256 << 20;  // of all values alive
inline constexpr int kTemplateValueDepth = 128;            // lists in lists …; past kJsonDepth, for what templates wrap around messages
inline constexpr int kTemplateSyntaxDepth = 128;           // parentheses in parentheses, blocks in blocks
inline constexpr int kTemplateEvalDepth = 1200;            // nodes being evaluated: bounds the stack to about 1 MiB
inline constexpr int kTemplateDepth = 64;                  // macros and recursive loops in progress
inline constexpr int64_t kTemplateRange = 100'000;         // range() of more items is refused, as Jinja's sandbox does

// Downloads. Hubs, mirrors and packages are not trusted further than a file's checksum.
inline constexpr size_t kHubListingBytes = 64 << 20;       // JSON that lists a repository's files
inline constexpr size_t kHubFiles = 10'000;                // files of one repository
inline constexpr size_t kFileNameBytes = 512;              // path of a file inside a model's folder
inline constexpr uint64_t kZipMembers = 1 << 20;           // of a wheel
inline constexpr uint64_t kZipDirectoryBytes = 256 << 20;  // a wheel's list of members
inline constexpr int kDownloadAttempts = 6;                // in a row without a single new byte
inline constexpr int kDownloadBackoffMs = 500;             // first wait between attempts; doubles …
inline constexpr int kDownloadBackoffMaxMs = 15'000;       // … up to this
inline constexpr int kDownloadStallS = 30;                 // a transfer that stands still for so long is cut

// Worker.
inline constexpr int kPageTokens = 32;                 // tokens of one KV page
inline constexpr int kBatchTokens = 512;               // rows of one step, prefill chunks included
inline constexpr int kSequences = 64;                  // sequences in one step
inline constexpr int kQueueLength = 512;               // waiting requests; more are refused at once
inline constexpr int kQueueTimeMs = 30'000;            // waited longer: busy
inline constexpr int kColdWaiters = 256;              // requests held while a model loads
inline constexpr int kLoadTimeMs = 600'000;            // a load that takes longer answers busy; it goes on
inline constexpr int kDrainMs = 30'000;                // SIGTERM: running requests get this long
inline constexpr int kStopStrings = 256;               // role-play front ends send one a character
inline constexpr size_t kStopStringBytes = 1024;
inline constexpr int kLogprobs = 20;                   // best tokens listed beside each chosen one, as OpenAI allows
inline constexpr size_t kStreamBacklogEvents = 1024;   // not yet taken by a slow reader: its sequence is held ...
inline constexpr size_t kStreamBacklogBytes = 256 << 10;  // ... until half of it is gone
inline constexpr int kPrefillStepMs = 400;             // a step's prefill delays the others' next token about so long
inline constexpr int kBatchLeastMs = 25;               // of single-shot tasks (embeddings, pictures): who comes late waits for one batch;
inline constexpr int kBatchMostMs = 200;               // ... it may be this long where much waits
inline constexpr int kBatchItems = 256;                // texts or pictures of one batch
inline constexpr uint64_t kKvBytes = 1ull << 30;       // KV cache where nobody says: enough for 16 long chats of a 1B model
inline constexpr uint64_t kWorkerExtraBytes = 2ull << 30;  // heap that a worker may add after its model is loaded
inline constexpr int kSseKeepAliveMs = 15'000;         // a silent stream gets a comment: proxies cut at 30 or 60 s
inline constexpr size_t kLogitBias = 1024;             // entries; OpenAI allows 300
inline constexpr int kTopLogprobs = 20;                // OpenAI's limit
inline constexpr int kAnswers = 128;                   // of one request, as OpenAI's n; each is a sequence of its own ...
inline constexpr size_t kAnswersBytes = 8 * kTextBodyBytes;  // ... with a prompt of its own in memory
static_assert(kBatchTokens % kPageTokens == 0);

// Encoders of text.
inline constexpr int kSentenceModules = 16;            // of a modules.json
inline constexpr int kClasses = 1 << 16;               // of a classifier
inline constexpr int kEncoderLeastTokens = 256;        // of a batch of texts: shorter ones read the weights too often for their work
inline constexpr int kEncoderMostTokens = 4096;        // a longer text runs alone
inline constexpr int kEncoderTextTokens = 8192;        // a text is cut here: the longest that published models read
inline constexpr size_t kTexts = 2048;                 // of one embeddings request, as OpenAI's; the published schemas say 100
inline constexpr size_t kContexts = 2048;              // passages of one reranking

}  // namespace verge::limits
