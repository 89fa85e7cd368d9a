<?php
// Hands one event to the cashback workers: php send.php '{"cashback_id": 1, "user_id": "7", "amount": "10.00"}'
// Needs no extension and no package. Here a simulated BETCORE signs the token; yours comes with BETCORE's make, and
// you have verified it. It prints the event id; sent again, in doubt, the same token is the same event.
declare(strict_types=1);

$http = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => $argv[1], 'timeout' => 10];
$reply = file_get_contents(getenv('SIMULATOR') . '/sim/tokens', false, stream_context_create(['http' => $http]));
$token = json_decode($reply)->token;
$message = ['version' => 1, 'token' => $token, 'received_at_ms' => (int) (microtime(true) * 1000)];

$id = substr(hash('sha256', $token, true), 0, 16);
$id[6] = chr(ord($id[6]) & 0x0f | 0x80);
$id[8] = chr(ord($id[8]) & 0x3f | 0x80);
$eventId = vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($id), 4));

$entry = json_encode([
    'body' => base64_encode(json_encode([[], $message, new stdClass()])),
    'content-encoding' => 'utf-8',
    'content-type' => 'application/json',
    'headers' => ['task' => 'cashback.settle', 'id' => $eventId],
    'properties' => ['body_encoding' => 'base64'],
]);

['host' => $host, 'port' => $port, 'user' => $user, 'pass' => $password] = parse_url(getenv('REDIS_URL'));
$redis = stream_socket_client("tcp://$host:$port", timeout: 5) ?: exit(1);
stream_set_timeout($redis, 10);
$ask = function (string ...$words) use ($redis): void {
    $text = array_map(fn ($word) => '$' . strlen($word) . "\r\n$word\r\n", $words);
    fwrite($redis, '*' . count($words) . "\r\n" . implode('', $text));
    $reply = fgets($redis) ?: '-no answer';
    $reply[0] === '-' && throw new RuntimeException("Redis: $reply");
};
$ask('AUTH', urldecode($user), urldecode($password));
$ask('LPUSH', getenv('QUEUE') ?: 'cashback', $entry);
echo $eventId, "\n";
