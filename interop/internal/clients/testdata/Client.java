import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Client is java.net.http.HttpClient as it comes, with HTTP/2 as its default version. driver.go
 * says how it is told what to do.
 */
public class Client {
    static final int KEPT = 64 << 10; // octets of a body
    static final BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    static final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    static final HttpClient client = HttpClient.newHttpClient();

    @SuppressWarnings("unchecked")
    public static void main(String[] args) throws Exception {
        Map<String, Object> job = (Map<String, Object>) Json.parse(in.readLine());
        List<Map<String, Object>> requests = (List<Map<String, Object>>) job.get("requests");
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < requests.size(); i++) {
            int n = i;
            Thread t = new Thread(() -> send(n, requests.get(n)));
            t.start();
            // If it begins with several at once, each has a connection.
            if (!(Boolean) job.get("atOnce") || i == 0 && !(Boolean) job.get("cold")) {
                t.join();
            }
            threads.add(t);
        }
        for (Thread t : threads) {
            t.join();
        }
        // There is no close before Java 21: what a client has yet to send, such as the preface,
        // would be lost. Its threads go on.
        Thread.sleep(100);
        System.exit(0);
    }

    /** Sends a request, and returns when its response has ended. */
    static void send(int n, Map<String, Object> spec) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("n", n);
        ByteArrayOutputStream kept = new ByteArrayOutputStream();
        long size = 0;
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            HttpResponse<InputStream> r = client.send(request(spec), BodyHandlers.ofInputStream());
            line.put("proto", r.version() == HttpClient.Version.HTTP_2 ? "HTTP/2.0" : "HTTP/1.1");
            line.put("status", r.statusCode());
            Map<String, List<String>> header = new LinkedHashMap<>(r.headers().map());
            header.remove(":status");
            line.put("header", header);
            try (InputStream body = r.body()) {
                byte[] buffer = new byte[KEPT];
                for (int length; (length = body.read(buffer)) >= 0;) {
                    boolean first = size == 0;
                    size += length;
                    digest.update(buffer, 0, length);
                    kept.write(buffer, 0, Math.min(length, KEPT - kept.size()));
                    if (!(Boolean) spec.get("parts")) {
                        continue;
                    }
                    Map<String, Object> part = new LinkedHashMap<>();
                    part.put("n", n);
                    part.put("data", Base64.getEncoder().encodeToString(Arrays.copyOf(buffer, length)));
                    tell(part);
                    if (first && (Boolean) spec.get("cancel")) {
                        in.readLine();
                        line.put("err", "cancelled");
                        break;
                    }
                }
            }
            StringBuilder hex = new StringBuilder();
            for (byte b : digest.digest()) {
                hex.append(String.format("%02x", b));
            }
            line.put("sha256", hex.toString());
        } catch (Exception e) {
            line.put("err", e.toString());
        }
        line.put("size", size);
        line.put("body", Base64.getEncoder().encodeToString(kept.toByteArray()));
        tell(line);
    }

    @SuppressWarnings("unchecked")
    static HttpRequest request(Map<String, Object> spec) {
        HttpRequest.Builder b = HttpRequest.newBuilder(URI.create((String) spec.get("url")))
            .timeout(Duration.ofSeconds(30))
            .expectContinue((Boolean) spec.get("expect"));
        ((Map<String, List<String>>) spec.get("header")).forEach((name, values) -> {
            values.forEach(value -> b.header(name, value));
        });
        if ((Boolean) spec.get("http1")) {
            b.version(HttpClient.Version.HTTP_1_1);
        }
        return b.method((String) spec.get("method"), body(spec)).build();
    }

    static BodyPublisher body(Map<String, Object> spec) {
        String encoded = (String) spec.get("body");
        if (encoded == null || encoded.isEmpty()) {
            return BodyPublishers.noBody();
        }
        BodyPublisher sized = BodyPublishers.ofByteArray(Base64.getDecoder().decode(encoded));
        return (Boolean) spec.get("noSize") ? BodyPublishers.fromPublisher(sized) : sized;
    }

    static synchronized void tell(Map<String, Object> line) {
        out.println(Json.text(line));
        out.flush();
    }
}
