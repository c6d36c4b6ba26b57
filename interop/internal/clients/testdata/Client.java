import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * Client is java.net.http.HttpClient as it comes, with HTTP/2 as its default version.
 *
 *   java Client.java CASE URL FILE ...
 *
 * The arguments are cases, each with a URL to send its requests to and a file for a body.
 * Each case has a client of its own. For each response it prints a line: the number of the
 * case, the status, the version and the body, parted by tabs.
 */
public class Client {
    static final Duration TIMEOUT = Duration.ofSeconds(60);

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < args.length; i += 3) {
            run(i / 3, args[i], args[i + 1], args[i + 2]);
        }
        System.exit(0); // at once: the threads of a client linger
    }

    static void run(int n, String name, String url, String file) throws Exception {
        HttpClient client = HttpClient.newBuilder().connectTimeout(TIMEOUT).build();
        BodyPublisher none = BodyPublishers.noBody();
        BodyPublisher body = file.isEmpty() ? none : BodyPublishers.ofFile(Path.of(file));
        switch (name) {
        case "get":
            print(n, client.send(request(url, "GET", none).build(), BodyHandlers.ofString()));
            print(n, client.send(request(url, "GET", none).build(), BodyHandlers.ofString()));
            break;
        case "head":
            print(n, client.send(request(url, "HEAD", none).build(), BodyHandlers.ofString()));
            break;
        case "post":
            print(n, client.send(request(url, "POST", body).build(), BodyHandlers.ofString()));
            print(n, client.send(request(url, "POST", body).build(), BodyHandlers.ofString()));
            break;
        case "expect":
            print(n, client.send(request(url, "POST", body).expectContinue(true).build(), BodyHandlers.ofString()));
            break;
        case "async":
            List<CompletableFuture<HttpResponse<String>>> responses = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                responses.add(client.sendAsync(request(url, "GET", none).build(), BodyHandlers.ofString()));
            }
            for (int i = 0; i < 4; i++) {
                print(n, responses.get(i).get());
            }
            break;
        default:
            throw new IllegalArgumentException(name);
        }
    }

    static HttpRequest.Builder request(String url, String method, BodyPublisher body) {
        return HttpRequest.newBuilder(URI.create(url)).timeout(TIMEOUT).method(method, body);
    }

    static void print(int n, HttpResponse<String> r) {
        System.out.println(n + "\t" + r.statusCode() + "\t" + r.version() + "\t" + r.body().strip());
    }
}
