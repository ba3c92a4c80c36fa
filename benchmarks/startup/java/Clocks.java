import java.security.SecureRandom;

/** Prints the cost of System.nanoTime (ns a call, median of 9 rounds) and of the first SecureRandom bytes (ms). */
public class Clocks {
    static long sink;

    static double round(int calls) {
        long start = System.nanoTime();
        for (int i = 0; i < calls; i++) sink += System.nanoTime();
        return (double) (System.nanoTime() - start) / calls;
    }

    public static void main(String[] args) {
        long start = System.nanoTime();
        new SecureRandom().nextBytes(new byte[32]);
        double random = (System.nanoTime() - start) / 1e6;
        for (int i = 0; i < 5; i++) round(20_000); // compiled from here on
        double[] rounds = new double[9];
        for (int i = 0; i < rounds.length; i++) rounds[i] = round(50_000);
        java.util.Arrays.sort(rounds);
        System.out.println("clocks " + rounds[4] + " " + random);
    }
}
